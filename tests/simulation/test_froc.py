"""Curves in result.json, in the report, and as much of them as may be handed on."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.metrics.exam_curve import exam_curve
from common.metrics.froc import THRESHOLDS, ScanCounts
from simulation.froc import describe_froc
from simulation.model_card import model_card
from simulation.publishing import public_arms
from simulation.report.content import ReportContent
from simulation.report.froc import render_froc
from simulation.report.froc_figure import FrocLine
from simulation.report.page import render_report
from simulation.result import Judged, build_result, write_result
from tests.common.metrics.curves import drawn_curves
from tests.simulation.experiments import SITES
from tests.simulation.judged_runs import make_judged, make_scores_of

TESTS = {"north": 9, "south": 8, "west": 6}


def judged_with_curves(tests: dict[str, int] = TESTS) -> Judged:
    """Three models with curves, and a second local one."""
    judged = make_judged(make_scores_of(tests))
    names = ("federated", "pooled", "local-north", "local-south")
    scores = dict.fromkeys(names, judged.scores["federated"])
    return replace(
        judged, scores=scores, curves={name: drawn_curves(8, place) for place, name in enumerate(names)}
    )


def test_columns_follow_the_thresholds_and_no_exam_is_named() -> None:
    found = describe_froc({"federated": drawn_curves(8, 1)}, 5)
    assert found is not None
    assert found["thresholds"] == list(THRESHOLDS)
    assert len(found["sensitivity"]["under_27"]["low"]) == len(found["fp_per_scan"]["high"]) == len(THRESHOLDS)
    assert "patient" not in json.dumps(found)
    assert found == describe_froc({"federated": drawn_curves(8, 1)}, 5)
    assert describe_froc({}, 5) is None
    assert describe_froc({"federated": ()}, 5) is None


def test_the_local_arm_is_the_mean_over_its_models() -> None:
    local = build_result(judged_with_curves())["arms"]["local"]["froc"]
    alone = [describe_froc({"m": drawn_curves(8, place)}, 5) for place in (2, 3)]
    for place, value in enumerate(local["fp_per_scan"]["estimate"]):
        assert value == sum(one["fp_per_scan"]["estimate"][place] for one in alone if one) / 2


def test_curves_leave_every_other_number_as_it_was() -> None:
    judged = judged_with_curves()
    with_curves, without = build_result(judged), build_result(replace(judged, curves={}))
    assert {arm: scores.pop("froc") for arm, scores in without["arms"].items()} == dict.fromkeys(without["arms"])
    for scores in with_curves["arms"].values():
        scores.pop("froc")
    assert with_curves == without


def test_lists_of_numbers_stand_on_one_line_and_texts_stay(tmp_path: Path) -> None:
    odd = ["[\n1, 2\n]", "[ 1e-05,  null ]", ""]
    result = {"a": [0.5, -1e-05, None, 3], "b": odd, "c": [[1], ["x", 2]], "d": []}
    write_result(tmp_path, result)
    text = (tmp_path / "result.json").read_text()
    assert '"a": [ 0.5, -1e-05, null, 3 ],\n' in text
    assert json.loads(text) == result


def test_the_page_shows_the_arms_and_the_table_and_reads_results_without_curves() -> None:
    result = build_result(judged_with_curves())
    page = render_report(ReportContent("x", result, ""))
    section = page.split('<section id="froc">')[1].split("</section>")[0]
    assert section.count("<svg") == 4
    at = result["arms"]["federated"]["froc"]["sensitivity_at"]["2"]["all"]["estimate"]
    assert f"federated finds {100 * at:.0f} % at 2 false positives per scan" in section
    assert f"at 2 false positives per scan</small></th><td><b>{100 * at:.0f}\u00a0%</b>" in section
    result["arms"]["federated"]["intervals"]["fp_per_scan"]["estimate"] = 400.0  # a ring far beyond the chart
    assert render_report(ReportContent("x", result, "")).count("<svg") == page.count("<svg")
    for scores in result["arms"].values():
        scores.pop("froc")
    assert 'id="froc"' not in render_report(ReportContent("x", result, ""))


def test_a_line_ends_where_marks_begin_to_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    result = build_result(judged_with_curves())
    curve = result["arms"]["federated"]["froc"]
    steps = len(THRESHOLDS)
    curve["fp_per_scan"]["estimate"] = [0.0, 9.0, *(float(steps - place) / 2 for place in range(2, steps))]
    curve["sensitivity"]["all"]["estimate"] = [1.0 - place / steps for place in range(steps)]
    drawn: list[FrocLine] = []

    def record(lines: Mapping[str, FrocLine], title: str, prefix: str) -> str:
        drawn.append(lines["federated"])
        return ""

    monkeypatch.setattr("simulation.report.froc.draw_froc", record)
    render_froc(result)
    points = drawn[0].points
    assert len(points) == steps - 1
    assert points[0] == pytest.approx((0.5, 1 / steps)) and points[-1] == pytest.approx((9.0, 1 - 1 / steps))


def test_lesions_of_one_size_alone_have_one_chart() -> None:
    counts = ScanCounts(np.array([8]), np.ones((len(THRESHOLDS), 1), bool), np.zeros(len(THRESHOLDS), np.int64))
    curves = tuple(exam_curve(counts, 1.0, 0.9, f"p{number}", f"e{number}", "north") for number in range(5))
    result = build_result(replace(judged_with_curves(), curves={"federated": curves}))
    section = render_froc(result)
    assert section.count("<svg") == 1 and "all lesions" in section and "under 27" not in section


def test_the_card_has_sensitivities_and_no_exam() -> None:
    judged = judged_with_curves()
    result = build_result(judged)
    card = model_card(judged, result, "images", phantoms=False)
    at = result["arms"]["pooled"]["froc"]["sensitivity_at"]["4"]["all"]
    row = next(line for line in card.splitlines() if line.startswith("| sensitivity at 4 per scan"))
    assert f"{at['estimate']:.3f} ({at['low']:.3f} to {at['high']:.3f})" in row.split("|")[3]
    public = json.dumps(public_arms(result, judged.scores["federated"]))
    assert "under_27" in public
    assert not any(site in public for site in SITES)


def test_too_few_patients_have_no_curve_on_the_card() -> None:
    judged = judged_with_curves({"north": 4})
    assert "FROC" not in model_card(judged, build_result(judged), "images", phantoms=False)
    few = make_scores_of({"north": 9}, ()) + make_scores_of({"south": 4})
    hidden = replace(judged, scores=dict.fromkeys(judged.scores, few))
    assert "FROC" not in model_card(hidden, build_result(hidden), "images", phantoms=False)
