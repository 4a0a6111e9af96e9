"""The FROC curve of an arm as result.json holds it: by threshold in columns; no exam is named."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.metrics.exam_curve import ExamCurve
from common.metrics.froc import THRESHOLDS
from common.metrics.froc_intervals import froc_intervals
from common.metrics.intervals import Interval


def describe_froc(by_model: Mapping[str, Sequence[ExamCurve]], seed: int) -> dict[str, Any] | None:
    """The arm's curve, the mean over its models at equal thresholds; None without an exam.

    Args:
        by_model: every model's exams by its name, the same exams in all.
        seed: of the run; the draws of patients follow from it, and no other draw is touched.
    """
    if not any(by_model.values()):
        return None
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xF20C]))
    curve = froc_intervals(list(by_model.values()), rng)
    return {
        "thresholds": list(THRESHOLDS),
        "sensitivity": {group: _columns(points) for group, points in curve.sensitivity.items()},
        "fp_per_scan": _columns(curve.fp_per_scan),
        "sensitivity_at": {
            str(limit): {group: interval.to_dict() for group, interval in by_group.items()}
            for limit, by_group in curve.sensitivity_at.items()
        },
        "voxel_auc": curve.voxel_auc.to_dict(),
    }


def _columns(points: Sequence[Interval]) -> dict[str, list[float | None]]:
    return {
        "estimate": [point.estimate for point in points],
        "low": [point.low for point in points],
        "high": [point.high for point in points],
    }
