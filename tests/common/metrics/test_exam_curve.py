import json

import numpy as np

from common.metrics.exam_curve import ExamCurve, exam_curve
from common.metrics.froc import ScanCounts


def test_lesions_are_counted_by_volume_and_come_back_from_a_file() -> None:
    counts = ScanCounts(np.array([10, 150]), np.array([[True, True], [False, True]]), np.array([3, 0]))
    curve = exam_curve(counts, 2.0, 0.97, "p", "e", "north")
    assert curve.lesions == {"all": 2, "under_27": 1, "27_to_275": 0, "over_275": 1}
    assert curve.found == {"all": (2, 1), "under_27": (1, 0), "27_to_275": (0, 0), "over_275": (1, 1)}
    assert curve.false_positives == (3, 0)
    assert ExamCurve.from_dict(json.loads(json.dumps(curve.to_dict()))) == curve


def test_an_exam_without_lesions_still_has_false_positives() -> None:
    counts = ScanCounts(np.zeros(0, np.int64), np.zeros((2, 0), bool), np.array([3, 1]))
    curve = exam_curve(counts, 1.0, None, "p", "e", "north")
    assert curve.found["all"] == (0, 0)
    assert curve.false_positives == (3, 1)
