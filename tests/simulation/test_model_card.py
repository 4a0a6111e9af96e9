"""The card of a run: its numbers are the result's, and no small group can be read or worked out."""

import re
from dataclasses import replace
from typing import Any

import pytest

from client.data.case import Metadata
from server.records import Outcome
from simulation.model_card import model_card
from simulation.result import Judged, build_result
from tests.simulation.judged_runs import make_judged, make_scores_of

COHORT = "images read from disk (ucsf_bmsr layout)"
TESTS = {"north": 9, "south": 8, "west": 6}


def card_of(judged: Judged, *, phantoms: bool = False) -> tuple[str, dict[str, Any]]:
    result = build_result(judged)
    return model_card(judged, result, COHORT, phantoms=phantoms), result


def rows_of(card: str, heading: str) -> dict[str, list[str]]:
    """Rows of the tables of one section by their first cell."""
    body = card.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in body.splitlines() if line[:1] == "|"
    ]
    return {row[0]: row[1:] for row in rows}


def written(interval: dict[str, Any], digits: int = 3) -> str:
    low, high = interval["low"], interval["high"]
    return f"{interval['estimate']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def test_scores_are_those_of_the_result() -> None:
    card, result = card_of(make_judged(make_scores_of(TESTS)))
    rows = rows_of(card, "Scores")
    for arm, place in (("federated", 0), ("pooled", 1), ("local", 2)):
        intervals = result["arms"][arm]["intervals"]
        assert rows["Dice"][place] == written(intervals["dice"])
        assert rows["lesion sensitivity"][place] == written(intervals["lesion_sensitivity"])
        assert rows["lesion precision"][place] == written(intervals["lesion_precision"])
        assert rows["false positives per scan"][place] == written(intervals["fp_per_scan"], 2)
    assert "| 23 exams of 23 patients with 138 lesions |" in card
    ratio = result["comparisons"]["federated_over_pooled"]["dice"]
    assert f"over that of pooled training {written(ratio)}" in card


def test_lesionwise_scores_stand_in_the_card() -> None:
    scores = tuple(
        replace(score, lesionwise_dice=0.01 * number, lesionwise_hd95_mm=10.0 * number)
        for number, score in enumerate(make_scores_of(TESTS))
    )
    card, result = card_of(make_judged(scores))
    rows, intervals = rows_of(card, "Scores"), result["arms"]["federated"]["intervals"]
    assert rows["lesion-wise Dice"][0] == written(intervals["lesionwise_dice"])
    assert rows["lesion-wise HD95 in mm"][0] == written(intervals["lesionwise_hd95"], 1)
    assert "BraTS-METS 2023/24" in card


def test_sizes_are_those_of_the_result() -> None:
    card, result = card_of(make_judged(make_scores_of(TESTS)))
    rows, arm = rows_of(card, "Sensitivity by size of lesion"), result["arms"]["federated"]
    assert rows["under 27 mm³"][:2] == ["46", written(arm["intervals"]["sensitivity_under_27"])]
    band = arm["sensitivity_by_diameter"]["over_10"]
    assert rows["over 10 mm"][:2] == ["23", written({**band, "estimate": band["value"]})]
    assert len(rows) == 2 + 3 + 4 + 1  # two heads, the bands, the line under a head


def test_groups_are_those_of_the_result_and_small_ones_are_not_named() -> None:
    scores = make_scores_of(TESTS)
    primaries = ["Lung"] * 12 + ["Breast"] * 7 + ["Chordoma"] * 4
    traits = {
        (score.site, score.exam): Metadata(61.0, "F", primary, 3.0)
        for score, primary in zip(scores, primaries, strict=True)
    }
    card, result = card_of(make_judged(scores, traits=traits))
    rows = rows_of(card, "Groups of test patients")
    shown = {row["group"]: row for row in result["subgroups"]["fields"]["primary_cancer"]}
    assert rows["primary cancer: lung"][0] == "12 (12)"
    assert rows["primary cancer: lung"][1] == written(shown["lung"]["dice"])
    assert "chordoma" not in card.lower()
    assert "breast" not in card.lower()  # of seven; the four would be the total less twelve and seven
    assert rows["sex: female"][0] == "23 (23)"


@pytest.mark.parametrize("small", [1, 4])
def test_a_small_group_of_patients_stands_nowhere(small: int) -> None:
    card, _ = card_of(make_judged(make_scores_of({"north": 9, "south": 8, "west": small}), {"west": small}))
    data = rows_of(card, "Data")
    assert data["north"][2] == "9"
    assert data["west"] == ["–", "0", "–"]
    assert data["south"][2] == "–"
    assert data["**all sites**"][2] == f"{17 + small} (" + f"{17 + small} exams)"
    assert "site: west" not in card and "site: south" not in card
    patients = [int(cell) for row in data.values() for cell in row if re.fullmatch(r"\d+", cell)]
    assert all(count == 0 or count >= 5 for count in patients)


def test_with_four_test_patients_no_score_is_given() -> None:
    card, result = card_of(make_judged(make_scores_of({"north": 4})))
    assert "Fewer than 5 test patients" in card
    assert f"{result['arms']['federated']['dice']:.3f}" not in card
    assert "Groups of test patients" not in card
    assert rows_of(card, "Data")["**all sites**"] == ["18 (18 exams)", "0 (0 exams)", "–"]


def test_phantoms_are_said_to_be_none_at_the_top() -> None:
    phantoms, _ = card_of(make_judged(make_scores_of(TESTS)), phantoms=True)
    patients, _ = card_of(make_judged(make_scores_of(TESTS)))
    assert phantoms.splitlines()[2].startswith("> **Phantoms, not patients.**")
    assert "Phantoms are not patients" in phantoms.split("## Limits")[1]
    assert "hantom" not in patients
    assert patients.splitlines()[2] == "> **Research software, not a medical device.**"


def test_what_the_run_lacks_is_among_its_limits() -> None:
    judged = make_judged(make_scores_of(TESTS), outcome=Outcome.LATE)
    alone = {"federated": judged.scores["federated"]}
    lessened = Judged(judged.prepared, judged.status, judged.history, {}, judged.models, alone, judged.traits)
    limits = card_of(lessened)[0].split("## Limits")[1]
    assert "In 1 of 1 rounds some site's work is missing." in limits
    assert "Not trained beside it, so that nothing is known of the difference: pooled, local." in limits
    assert "one seed (5)" in limits


def test_the_same_run_writes_the_same_card() -> None:
    first, second = (card_of(make_judged(make_scores_of(TESTS)))[0] for _ in range(2))
    assert first == second
    assert "2.0" not in first.split("## Data")[1].split("## Training")[0]  # no seconds


def test_notes_that_name_patients_do_not_reach_the_card() -> None:
    judged = make_judged(make_scores_of(TESTS))
    result = {**build_result(judged), "notes": ["site west: north-3 was test and trains"]}
    assert "north-3" not in model_card(judged, result, COHORT, phantoms=False)
