"""Free-response ROC: lesions found against false positives per scan, over the threshold on the probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.metrics.detection import label_lesions
from common.metrics.overlap import Mask, content_box, require_same_shape

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True, slots=True)
class FrocPoint:
    """All cases at one threshold.

    Attributes:
        threshold: a voxel of this probability or more is marked.
        sensitivity: lesions found over lesions, pooled; None without lesions.
        fp_per_scan: predicted components that touch no lesion, over scans.
    """

    threshold: float
    sensitivity: float | None
    fp_per_scan: float


def froc(
    cases: Sequence[tuple[npt.NDArray[np.floating], Mask]], thresholds: Sequence[float] = THRESHOLDS
) -> tuple[FrocPoint, ...]:
    """The curve of some scans, a point for each threshold, under detection.MATCHING_RULE.

    Sensitivity falls with the threshold; false positives need not: a blob may break into several.

    Args:
        cases: probability (X, Y, Z) and reference of every scan, whatever is not 0 is lesion.
        thresholds: above 0, at most 1.

    Raises:
        ValueError: no scan, a threshold out of range, shapes that differ, probabilities that are not finite.

    Source: Bunch et al. 1977; Chakraborty and Berbaum 2004 for lesions.
    """
    if not cases:
        raise ValueError("no scan to draw a curve from")
    wrong = [threshold for threshold in thresholds if not 0.0 < threshold <= 1.0]
    if wrong:
        raise ValueError(f"threshold {wrong[0]} is not above 0 and at most 1")
    lesions = 0
    found, false = np.zeros(len(thresholds), np.int64), np.zeros(len(thresholds), np.int64)
    for probability, reference in cases:
        require_same_shape(probability, reference)
        if not np.isfinite(probability).all():
            raise ValueError("probability holds voxels that are not finite; look at how the map was written")
        count, hits, blobs = _of_one_scan(probability, reference, thresholds)
        lesions += count
        found += hits
        false += blobs
    return tuple(
        FrocPoint(float(threshold), int(hit) / lesions if lesions else None, int(wild) / len(cases))
        for threshold, hit, wild in zip(thresholds, found, false, strict=True)
    )


def sensitivity_at(curve: Sequence[FrocPoint], fp_per_scan: float) -> float | None:
    """The best sensitivity at no more than so many false positives per scan; None if no threshold allows it."""
    allowed = [p.sensitivity for p in curve if p.fp_per_scan <= fp_per_scan and p.sensitivity is not None]
    return max(allowed, default=None)


def area_under_froc(curve: Sequence[FrocPoint], up_to_fp_per_scan: float) -> float | None:
    """Mean of `sensitivity_at` over 0 to so many false positives per scan; 0 where no threshold allows it.

    One threshold that finds 0.8 at 1 false positive per scan, up to 4: 0.8 * 3 / 4 = 0.6.
    """
    if all(point.sensitivity is None for point in curve):
        return None
    steps = sorted({0.0, up_to_fp_per_scan, *(p.fp_per_scan for p in curve if p.fp_per_scan < up_to_fp_per_scan)})
    area = sum((right - left) * (sensitivity_at(curve, left) or 0.0) for left, right in pairwise(steps))
    return area / up_to_fp_per_scan


def _of_one_scan(
    probability: npt.NDArray[np.floating], reference: Mask, thresholds: Sequence[float]
) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number of lesions; by threshold, lesions found and false positives."""
    lowest = float(min(thresholds))
    box = content_box((probability >= lowest) | (reference != 0))
    marked, expected = probability[box], reference[box]
    labels, count = label_lesions(expected)
    inside = labels != 0
    # A lesion is found up to the highest probability in it: no matching for each threshold.
    highest = np.zeros(count + 1, marked.dtype)
    np.maximum.at(highest, labels[inside], marked[inside])
    found, false = np.zeros(len(thresholds), np.int64), np.zeros(len(thresholds), np.int64)
    for index, threshold in enumerate(thresholds):
        blobs, blob_count = label_lesions(marked >= float(threshold))
        false[index] = blob_count - np.count_nonzero(np.unique(blobs[inside]))
        found[index] = np.count_nonzero(highest[1:] >= float(threshold))
    return count, found, false
