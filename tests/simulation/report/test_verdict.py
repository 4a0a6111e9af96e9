from typing import Any

import pytest

from common.metrics.scores import CaseScores, LesionScore
from simulation.report.verdict import headline, render_meaning, render_verdict


def result(ratio: tuple[float, float, float], gain: tuple[float, float, float]) -> dict[str, Any]:
    def interval(values: tuple[float, float, float]) -> dict[str, dict[str, float]]:
        return {"dice": dict(zip(("estimate", "low", "high", "units"), (*values, 20), strict=True))}

    return {
        "status": "completed",
        "arms": {"federated": {"dice": 0.62}, "pooled": {"dice": 0.64}, "local": {"dice": 0.5}},
        "comparisons": {"federated_over_pooled": interval(ratio), "federated_minus_local": interval(gain)},
    }


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        ((0.1, 0.05, 0.15), "It is better than a hospital's model trained alone."),
        ((0.1, -0.01, 0.2), "It is not clearly different from a hospital's model trained alone."),
        ((-0.1, -0.2, -0.05), "It is worse than a hospital's model trained alone."),
    ],
)
def test_headline_claims_what_the_interval_supports(gain: tuple[float, float, float], words: str) -> None:
    text = headline(result((0.969, 0.94, 1.01), gain))
    assert text.startswith("The federated model reaches 96.9\u00a0% of the Dice")
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
    assert words in render_meaning(result(ratio, (0.1, 0.0, 0.2)), {})


def test_counts_stand_behind_the_shares() -> None:
    lesions = (LesionScore(10.0, False), LesionScore(20.0, True), LesionScore(300.0, True))
    scores = (CaseScores("p", "a", "s", 0.7, lesions, 4, 2), CaseScores("p", "b", "s", 0.5, (), 0, 0))
    text = render_meaning(result((1.0, 0.9, 1.1), (0.1, 0.0, 0.2)), {"federated": scores})
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
