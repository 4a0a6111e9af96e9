from typing import Any

import pytest

from common.metrics.scores import CaseScores, LesionScore
from simulation.report.verdict import headline, render_meaning, render_verdict


def result(ratio: tuple[float, float, float], gain: tuple[float, float, float]) -> dict[str, Any]:
    def interval(values: tuple[float, float, float]) -> dict[str, dict[str, float]]:
        return {"dice": dict(zip(("estimate", "low", "high", "units"), (*values, 20), strict=True))}

    return {
        "status": "completed",
        "arms": {
            "federated": {"dice": 0.62, "lesion_sensitivity": 0.8, "fp_per_scan": 1.5},
            "pooled": {"dice": 0.64},
            "local": {"dice": 0.5},
        },
        "comparisons": {"federated_over_pooled": interval(ratio), "federated_minus_local": interval(gain)},
    }


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        ((0.1, 0.05, 0.15), "patients is above that of a hospital's model trained alone."),
        ((0.1, -0.01, 0.2), "patients is not clearly different from that of a hospital's model trained alone."),
        ((-0.1, -0.2, -0.05), "patients is below that of a hospital's model trained alone."),
    ],
)
def test_headline_claims_what_the_interval_supports(gain: tuple[float, float, float], words: str) -> None:
    text = headline(result((0.969, 0.94, 1.01), gain))
    assert text.startswith("The federated model finds 80\u00a0% of the lesions with 1.50 false marks per scan")
    assert text.endswith(words)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        ((0.969, 0.94, 1.01), "do not tell the two apart"),
        ((0.9, 0.85, 0.95), "keeping the data apart cost some Dice"),
        ((1.1, 1.02, 1.2), "keeping the data apart cost nothing in Dice"),
    ],
)
def test_pooled_comparison_in_words(ratio: tuple[float, float, float], words: str) -> None:
    assert words in render_meaning(result(ratio, (0.1, 0.0, 0.2)), ())


def test_counts_stand_behind_the_shares() -> None:
    lesions = (LesionScore(10.0, False), LesionScore(20.0, True), LesionScore(300.0, True))
    scores = (CaseScores("p", "a", "s", 0.7, lesions, 4, 2), CaseScores("p", "b", "s", 0.5, (), 0, 0))
    text = render_meaning(result((1.0, 0.9, 1.1), (0.1, 0.0, 0.2)), scores)
    assert "In 2 test exams of 1 patient it finds <b>2 of 3 lesions</b>: 50\u00a0% of the 2 below" in text
    assert "100\u00a0% of the 1 above" in text
    assert "50\u00a0% touches a lesion; the rest is <b>1.00 false marks per scan</b>" in text
    assert "Only 1 patient took" in text


@pytest.mark.parametrize(
    ("status", "rounds", "words"),
    [
        ("completed", 3, "every round has every site's work in it"),
        ("failed", 3, "no round met its quorum"),
        ("completed", 0, "no federation was asked for; every model that was, is trained"),
    ],
)
def test_status_speaks_of_rounds_only_where_there_were_some(status: str, rounds: int, words: str) -> None:
    assert words in render_verdict({"status": status, "rounds": [{"round": 1}] * rounds})


def test_tiles_show_interval_ends() -> None:
    html = render_verdict(result((0.969, 0.94, 1.01), (0.1, -0.02, 0.2)))
    assert "94.0\u00a0%\u00a0to\u00a0101.0\u00a0%" in html
    assert "\u22120.020\u00a0to\u00a0+0.200" in html


def test_few_test_patients_allow_no_comparison() -> None:
    few = result((1.77, 1.2, 2.0), (0.1, 0.05, 0.15))
    for comparison in few["comparisons"].values():
        comparison["dice"]["units"] = 4
    assert headline(few).endswith("With so few test patients the arms cannot be compared.")


def test_more_false_marks_than_pooled_are_told_whatever_dice_says() -> None:
    same_dice = result((0.98, 0.94, 1.01), (0.1, 0.05, 0.15))
    same_dice["comparisons"]["federated_minus_pooled"] = {
        "fp_per_scan": {"estimate": 0.75, "low": 0.33, "high": 1.17, "units": 20},
        "lesion_sensitivity": {"estimate": 0.0, "low": -0.04, "high": 0.04, "units": 20},
    }
    told = render_meaning(same_dice, ())
    assert (
        "number of false marks per scan is <b>higher</b> than pooled training's: +0.75 (+0.33\u00a0to\u00a0+1.17)"
        in told
    )
    assert "share of lesions found" not in told
