import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from simulation.report.study import study_markdown, summarise_study
from simulation.report.study_page import write_study
from tests.simulation.report.fixture import made_up_result


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    return [made_up_result(seed, rounds=2) for seed in (1, 2, 3)]


def test_ratio_is_formed_within_each_seed(results: list[dict[str, Any]]) -> None:
    summary = summarise_study(results)
    ratios = [result["arms"]["federated"]["dice"] / result["arms"]["pooled"]["dice"] for result in results]
    expected = stats.ttest_1samp(ratios, 0.0).confidence_interval(0.95)
    interval = summary["federated_over_pooled"]["dice"]
    assert interval["estimate"] == pytest.approx(np.mean(ratios))
    assert (interval["low"], interval["high"]) == pytest.approx((expected.low, expected.high))
    assert interval["units"] == 3
    assert summary["interval"] == "95% Student's t interval over seeds"
    json.dumps(summary, allow_nan=False)


def test_lesion_sizes_with_their_counts(results: list[dict[str, Any]]) -> None:
    small = summarise_study(results)["arms"]["federated"]["sensitivity_by_volume"]["under_27"]
    shares = [result["arms"]["federated"]["sensitivity_by_volume"]["under_27"] for result in results]
    assert small["lesions"] == sum(share["lesions"] for share in shares)
    assert small["value"]["estimate"] == pytest.approx(np.mean([share["value"] for share in shares]))


def test_null_scores_and_missing_arms_count_in_no_mean(results: list[dict[str, Any]]) -> None:
    gaps = deepcopy(results)
    gaps[0]["arms"]["federated"]["dice"] = None
    del gaps[1]["arms"]["pooled"]
    summary = summarise_study(gaps)
    assert summary["arms"]["federated"]["dice"]["units"] == 2
    assert summary["arms"]["pooled"]["dice"]["units"] == 2
    assert summary["federated_over_pooled"]["dice"]["units"] == 1
    assert summary["federated_over_pooled"]["dice"]["low"] is None


def test_markdown_has_a_column_an_arm(results: list[dict[str, Any]]) -> None:
    text = study_markdown("fixture", summarise_study(results))
    assert "| over seeds 1, 2, 3 | Federated | Pooled | Local |" in text
    assert "sensitivity, under 27 mm³" in text
    assert "- Dice, federated / pooled: 0.9" in text


def test_page_is_self_contained(tmp_path: Path, results: list[dict[str, Any]]) -> None:
    summary = summarise_study(results)
    write_study(tmp_path / "study.html", "<fixture>", results, summary, 'name = "<x>"', "<made up>")
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert "<fixture>" not in page
    assert "<p>&lt;made up&gt;. Seeds 1, 2, 3.</p>" in page
    assert f"{summary['arms']['federated']['dice']['estimate']:.3f}" in page
    assert page.count(results[0]["notes"][0]) == 1
    assert "&lt;fixture&gt;: study over 3 seeds" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "not a medical device" in page
