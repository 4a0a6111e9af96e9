import numpy as np
import pytest

from common.metrics.detection import match_lesions
from common.metrics.froc import FrocPoint, area_under_froc, froc, sensitivity_at
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
