import numpy as np
import pytest

from common.metrics.detection import match_lesions
from common.metrics.froc import FrocPoint, area_under_froc, count_masks, count_scan, froc, sensitivity_at
from tests.common.metrics.masks import blob_pair


def test_every_point_is_the_matching_rule_at_its_threshold() -> None:
    cases = []
    for seed in range(3):
        prediction, reference = blob_pair(seed)
        noise = np.random.default_rng(seed).random(prediction.shape).astype(np.float32)
        cases.append((np.clip(0.5 * prediction + 0.5 * noise, 0, 1).astype(np.float32), reference))
    for point in froc(cases, (0.3, 0.7, 0.95)):
        matches = [match_lesions(p >= point.threshold, r) for p, r in cases]
        lesions = sum(match.detected.size for match in matches)
        found = sum(int(match.detected.sum()) for match in matches)
        assert point.sensitivity == pytest.approx(found / lesions)
        assert point.fp_per_scan == pytest.approx(sum(match.false_positives for match in matches) / 3)


def test_summaries_of_a_curve() -> None:
    curve = [FrocPoint(0.2, 0.9, 3.0), FrocPoint(0.5, 0.8, 1.0), FrocPoint(0.9, 0.4, 0.5)]
    assert sensitivity_at(curve, 1.0) == 0.8
    assert sensitivity_at(curve, 0.1) is None
    assert area_under_froc(curve, 4.0) == pytest.approx((0.5 * 0.4 + 2 * 0.8 + 1 * 0.9) / 4)


def test_without_lesions_and_refusals() -> None:
    empty = np.zeros((4, 4, 4))
    assert froc([(empty, empty)], (0.5,)) == (FrocPoint(0.5, None, 0.0),)
    assert area_under_froc(froc([(empty, empty)], (0.5,)), 4.0) is None
    with pytest.raises(ValueError, match=r"threshold 0\.0 is not above 0"):
        froc([(empty, empty)], (0.0,))
    with pytest.raises(ValueError, match="no scan"):
        froc([])


def test_masks_that_touch_both_lesions_one_and_none() -> None:
    reference = np.zeros((9, 5, 5), bool)
    reference[1:3, 1, 1] = reference[6:8, 3, 3] = True
    both, one, wild = (np.zeros_like(reference) for _ in range(3))
    both[2, 1, 1] = both[7, 3, 3] = one[1, 1, 1] = wild[4, 4, 0] = True
    counts = count_masks([both, one, wild, np.zeros_like(reference)], reference)
    assert counts.found.astype(int).tolist() == [[1, 1], [1, 0], [0, 0], [0, 0]]
    assert counts.false_positives.tolist() == [0, 0, 1, 0]
    assert counts.reference_voxels.tolist() == [2, 2]


def test_a_threshold_marks_the_voxels_that_reach_it() -> None:
    probability, reference = np.zeros((3, 3, 7), np.float32), np.zeros((3, 3, 7), np.uint8)
    reference[1, 1, 1] = 1
    probability[1, 1, 1], probability[1, 1, 4], probability[1, 1, 6] = 0.5, 0.9, 0.2
    counts = count_scan(probability, reference, (0.2, 0.5, 0.6, 0.95))
    assert counts.found[:, 0].tolist() == [True, True, False, False]
    assert counts.false_positives.tolist() == [2, 1, 1, 0]


def test_a_blob_over_everything_is_no_sensitivity_without_false_positives() -> None:
    curve = [FrocPoint(0.1, 1.0, 0.0), FrocPoint(0.5, 0.8, 3.0), FrocPoint(0.9, 0.4, 0.5)]
    assert sensitivity_at(curve, 1.0) == 0.4
    assert sensitivity_at(curve, 3.0) == 1.0
