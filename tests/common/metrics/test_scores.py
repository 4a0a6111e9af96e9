import json
from dataclasses import replace

import numpy as np
import pytest

from common.metrics.scores import VOLUME_BANDS, CaseScores, LesionScore, score_case, summarise, volume_band


def case(exam: str, dice: float, lesions: list[tuple[float, bool]], predicted: int, false: int) -> CaseScores:
    scored = tuple(LesionScore(volume, detected) for volume, detected in lesions)
    return CaseScores("p-" + exam, exam, "site-1", dice, scored, predicted, false)


def test_scores_one_case_in_millimetres() -> None:
    reference = np.zeros((30, 30, 30), np.uint8)
    reference[5:10, 5:10, 5:10] = 1
    reference[20, 20, 20:22] = 2
    prediction = np.zeros_like(reference)
    prediction[5:10, 5:10, 5:9] = 1
    prediction[25, 3, 3] = 1
    scores = score_case(prediction, reference, 8.0, "p1", "p1-a", "north")
    assert scores.dice == pytest.approx(2 * 100 / (127 + 101))
    assert {(lesion.volume_mm3, lesion.detected) for lesion in scores.lesions} == {(1000.0, True), (16.0, False)}
    assert (scores.predicted_lesions, scores.false_positives, scores.site) == (2, 1, "north")


def test_refuses_another_grid_naming_case_and_shapes() -> None:
    with pytest.raises(ValueError, match=r"case e1 of site s: .*\(4, 4, 4\), reference \(4, 4, 5\)"):
        score_case(np.zeros((4, 4, 4)), np.zeros((4, 4, 5)), 1.0, "p", "e1", "s")
    with pytest.raises(ValueError, match="above 0, got 0"):
        score_case(np.zeros((4, 4, 4)), np.zeros((4, 4, 4)), 0.0, "p", "e1", "s")


def test_summary_pools_lesions_and_averages_cases() -> None:
    first = case("a", 0.8, [(10, True), (26.9, False), (27, True), (275, True), (275.1, True)], 6, 2)
    summary = summarise([first, case("b", 0.4, [(5, False)], 0, 0)])
    assert (summary.cases, summary.lesions) == (2, 6)
    assert summary.dice == pytest.approx(0.6)
    assert summary.lesion_sensitivity == pytest.approx(4 / 6)
    assert summary.lesion_precision == pytest.approx(4 / 6)
    assert summary.fp_per_scan == pytest.approx(1.0)
    bands = summary.sensitivity_by_volume
    assert [bands[band].value for band in VOLUME_BANDS] == pytest.approx([1 / 3, 1.0, 1.0])
    assert [bands[band].lesions for band in VOLUME_BANDS] == [3, 2, 1]


def test_lesionwise_scores_are_averaged_over_the_cases_that_have_them() -> None:
    scored = [replace(case("a", 0.8, [], 0, 0), lesionwise_dice=0.2, lesionwise_hd95_mm=374.0)]
    scored += [replace(scored[0], exam="b", lesionwise_dice=0.6, lesionwise_hd95_mm=6.0), case("c", 0.1, [], 0, 0)]
    summary = summarise(scored)
    assert [summary.lesionwise_dice, summary.lesionwise_hd95_mm] == pytest.approx([0.4, 190.0])
    assert [CaseScores.from_dict(score.to_dict()) for score in scored] == scored


def test_a_score_without_cases_or_lesions_is_null() -> None:
    nothing = summarise([])
    assert json.loads(json.dumps(nothing.to_dict())) == {
        "cases": 0,
        "lesions": 0,
        "dice": None,
        "lesion_sensitivity": None,
        "lesion_precision": None,
        "fp_per_scan": None,
        "lesionwise_dice": None,
        "lesionwise_hd95": None,
        "sensitivity_by_volume": {
            band: {"value": None, "lesions": 0} for band in ("under_27", "27_to_275", "over_275")
        },
    }
    healthy = summarise([case("a", 1.0, [], 0, 0)])
    assert (healthy.dice, healthy.lesion_sensitivity, healthy.fp_per_scan) == (1.0, None, 0.0)


def test_case_scores_survive_json() -> None:
    scores = case("a", 0.5, [(10.5, True), (300.0, False)], 3, 1)
    assert CaseScores.from_dict(json.loads(json.dumps(scores.to_dict()))) == scores


@pytest.mark.parametrize(
    ("volume_mm3", "band"), [(26.999, "under_27"), (27, "27_to_275"), (275, "27_to_275"), (275.001, "over_275")]
)
def test_band_edges(volume_mm3: float, band: str) -> None:
    assert volume_band(volume_mm3) == band
