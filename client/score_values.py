"""What `fedmets-site score` says of a region: the names, and what stands for what is undefined."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from client.score_rule import Rule
from common.metrics.lesion_counts import LesionCounts
from common.metrics.panoptica_rule import PENALTY_MM
from common.metrics.region import RegionScores
from common.metrics.scores import LesionScore, Share
from common.metrics.sizes import sensitivity_by_diameter, sensitivity_by_volume

Part = tuple[float, float]
"""Numerator and denominator of a case; (0, 0) where the measure is undefined."""


def headline(scores: RegionScores, rule: Rule) -> dict[str, Any]:
    """The measures every report has, as plain JSON values; None where undefined, a penalty for infinity."""
    dice, hd95_mm = _lesionwise(scores, rule)
    counts, lesions = counts_of(scores, rule), lesions_of(scores, rule)
    return {
        "dice": scores.voxels.dice,
        "hd95": _finite(scores.hd95_mm, scores, rule),
        "hd95_pooled": _finite(scores.hd95_pooled_mm, scores, rule),
        "lesionwise_dice": dice,
        "lesionwise_hd95": hd95_mm,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "sensitivity_by_diameter": _plain(sensitivity_by_diameter(lesions)),
        "sensitivity_by_volume": _plain(sensitivity_by_volume(lesions)),
    }


def further(scores: RegionScores, rule: Rule) -> dict[str, float | None]:
    """The other measures."""
    voxels, counts = scores.voxels, counts_of(scores, rule)
    small = scores.panoptica.small_counts
    return {
        "iou": voxels.iou,
        "precision": voxels.precision,
        "recall": voxels.recall,
        "specificity": voxels.specificity,
        "mcc": voxels.mcc,
        f"surface_dice_{scores.tolerance_mm:g}mm": scores.surface_dice,
        "lesion_sensitivity": counts.sensitivity,
        "lesion_precision": counts.precision,
        "lesion_f1": counts.f1,
        "panoptic_quality": scores.panoptic.quality,
        "recognition_quality": scores.panoptic.recognition,
        "segmentation_quality": scores.panoptic.segmentation,
        "large_lesion_dice": scores.panoptica.large_dice,
        "large_lesion_hd95": scores.panoptica.large_hd95_mm,
        "large_lesion_nsd": scores.panoptica.large_nsd,
        "small_lesion_tp": small.tp if small is not None else None,
        "small_lesion_fn": small.fn if small is not None else None,
        "small_lesion_f1": scores.panoptica.small_f1,
    }


def parts(scores: RegionScores, rule: Rule) -> dict[str, Part]:
    """A case's share in the summary over cases: means over cases, but lesions pooled over all of them."""
    first, second = headline(scores, rule), further(scores, rule)
    counts, lesions = counts_of(scores, rule), lesions_of(scores, rule)
    means = ("dice", "hd95", "hd95_pooled", "lesionwise_dice", "lesionwise_hd95")
    pooled = {
        **{name: _mean(first[name]) for name in means},
        **{name: _mean(value) for name, value in second.items() if name not in _POOLED},
        **{name: of(counts) for name, of in _POOLED.items()},
        "fp_per_scan": (float(counts.fp), 1.0),
    }
    bands = {"diameter": sensitivity_by_diameter(lesions), "volume": sensitivity_by_volume(lesions)}
    for kind, shares in bands.items():
        for band, share in shares.items():
            found = round((share.value or 0.0) * share.lesions)
            pooled[f"sensitivity_by_{kind}_{band}"] = (float(found), float(share.lesions))
    return pooled


def counts_of(scores: RegionScores, rule: Rule) -> LesionCounts:
    """Lesions found, invented and missed under the rule."""
    return scores.lesionwise.counts if rule is Rule.BRATS_2023 else scores.panoptica.counts


def lesions_of(scores: RegionScores, rule: Rule) -> list[LesionScore]:
    """The rule's reference lesions: their bands sum to its tp + fn."""
    if rule is Rule.BRATS_2023:
        return [LesionScore(lesion.volume_mm3, lesion.detected) for lesion in scores.lesionwise.lesions]
    return [LesionScore(lesion.volume_mm3, lesion.matched) for lesion in scores.panoptica.lesions]


_POOLED: Mapping[str, Callable[[LesionCounts], Part]] = {
    "lesion_sensitivity": lambda counts: (counts.tp, counts.tp + counts.fn),
    "lesion_precision": lambda counts: (counts.tp, counts.tp + counts.fp),
    "lesion_f1": lambda counts: (2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn),
}


def _lesionwise(scores: RegionScores, rule: Rule) -> tuple[float | None, float | None]:
    if rule is Rule.BRATS_2023:
        return scores.lesionwise.dice, scores.lesionwise.hd95_mm
    return scores.panoptica.large_dice, scores.panoptica.large_hd95_mm


def _finite(distance_mm: float, scores: RegionScores, rule: Rule) -> float:
    """JSON has no infinity, and a mean over cases none either: the rule's penalty stands for it."""
    if math.isfinite(distance_mm):
        return distance_mm
    return scores.lesionwise.penalty_mm if rule is Rule.BRATS_2023 else PENALTY_MM


def _mean(value: float | None) -> Part:
    return (value, 1.0) if value is not None else (0.0, 0.0)


def _plain(shares: Mapping[str, Share]) -> dict[str, Any]:
    return {band: asdict(share) for band, share in shares.items()}
