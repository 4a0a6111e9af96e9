"""Free-response ROC: lesions found against false positives per scan, over the threshold on the probability."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import numpy as np
import numpy.typing as npt

from common.metrics.detection import label_lesions
from common.metrics.overlap import Mask, content_box, require_same_shape

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Closer towards the ends: a trained network says little between, and there most of the curve lies."""


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


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """One scan at several thresholds.

    Attributes:
        reference_voxels: (lesions,) int64, size of every reference lesion.
        found: (thresholds, lesions) bool.
        false_positives: (thresholds,) int64, predicted components that touch no lesion.
    """

    reference_voxels: npt.NDArray[np.int64]
    found: npt.NDArray[np.bool_]
    false_positives: npt.NDArray[np.int64]


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
        if not np.isfinite(probability).all():
            raise ValueError("probability holds voxels that are not finite; look at how the map was written")
        counts = count_scan(probability, reference, thresholds)
        lesions += counts.reference_voxels.size
        found += counts.found.sum(axis=1)
        false += counts.false_positives
    return tuple(
        FrocPoint(float(threshold), int(hit) / lesions if lesions else None, int(wild) / len(cases))
        for threshold, hit, wild in zip(thresholds, found, false, strict=True)
    )


def sensitivity_at(curve: Sequence[FrocPoint], fp_per_scan: float) -> float | None:
    """The best sensitivity before there are more false positives per scan, from the highest threshold down.

    What comes after them does not count: at a threshold so low that marks run together, one blob over the whole
    brain touches every lesion and is no false positive. At thresholds 0.9, 0.5 and 0.1 with 0.5, 3 and 0 false
    positives per scan the sensitivity at 1 is that of 0.9.

    Returns:
        None without lesions, or where the highest threshold has more already.
    """
    downwards = sorted(curve, key=lambda point: -point.threshold)
    allowed = takewhile(lambda point: point.fp_per_scan <= fp_per_scan, downwards)
    return max((point.sensitivity for point in allowed if point.sensitivity is not None), default=None)


def area_under_froc(curve: Sequence[FrocPoint], up_to_fp_per_scan: float) -> float | None:
    """Mean of `sensitivity_at` over 0 to so many false positives per scan; 0 where no threshold allows it.

    One threshold that finds 0.8 at 1 false positive per scan, up to 4: 0.8 * 3 / 4 = 0.6.
    """
    if all(point.sensitivity is None for point in curve):
        return None
    steps = sorted({0.0, up_to_fp_per_scan, *(p.fp_per_scan for p in curve if p.fp_per_scan < up_to_fp_per_scan)})
    area = sum((right - left) * (sensitivity_at(curve, left) or 0.0) for left, right in pairwise(steps))
    return area / up_to_fp_per_scan


def count_scan(
    probability: npt.NDArray[np.floating], reference: Mask, thresholds: Sequence[float] = THRESHOLDS
) -> ScanCounts:
    """What is found in one scan and what is marked in vain; a threshold marks the voxels that reach it.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(probability, reference)
    box = content_box((probability >= float(min(thresholds))) | (reference != 0))
    cropped = probability[box]
    return count_masks((cropped >= float(threshold) for threshold in thresholds), reference[box])


def count_masks(masks: Iterable[Mask], reference: Mask) -> ScanCounts:
    """`detection.match_lesions` of several masks of one shape with one reference, which is labelled once.

    Two lesions, and masks that touch both, one, and only background: found ((1, 1), (1, 0), (0, 0)), false
    positives (0, 0, 1).
    """
    labels, lesions = label_lesions(reference)
    found, false = [], []
    for mask in masks:
        box = content_box(mask)
        blobs, count = label_lesions(mask[box])
        owners = labels[box]
        both = (owners != 0) & (blobs != 0)
        found.append(np.bincount(owners[both], minlength=lesions + 1)[1:] > 0)
        false.append(count - np.unique(blobs[both]).size)
    return ScanCounts(
        np.bincount(labels.ravel(order="K"), minlength=lesions + 1)[1:].astype(np.int64),
        np.array(found, bool).reshape(len(found), lesions),
        np.array(false, np.int64),
    )
