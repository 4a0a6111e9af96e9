"""Panoptic quality: how well instances are recognised times how well the recognised ones are drawn.

Source: Kirillov et al. 2019, arXiv:1801.00868; panoptica (Kofler et al. 2023, arXiv:2312.02608).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.metrics.detection import label_lesions
from common.metrics.instances import InstanceBoxes, Labels, Overlaps, Pair, count_overlaps, match_by_iou
from common.metrics.lesion_counts import LesionCounts
from common.metrics.overlap import Mask, crop_to_content
from common.metrics.surface import average_symmetric_distance_mm
from common.metrics.surfels import Spacing


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """One case. Means over the matched pairs are None when nothing matches.

    Attributes:
        counts: matched, invented and missed instances.
        iou, dice, assd_mm: by matched pair.
        relative_volumes: (predicted - reference) / reference, by matched pair.
    """

    counts: LesionCounts
    iou: tuple[float, ...]
    dice: tuple[float, ...]
    assd_mm: tuple[float, ...]
    relative_volumes: tuple[float, ...]

    @property
    def recognition(self) -> float | None:
        """RQ, TP / (TP + FP / 2 + FN / 2): the F1 of instances; None when there is no instance at all."""
        return self.counts.f1

    @property
    def segmentation(self) -> float | None:
        """SQ, the mean IoU of the matched pairs."""
        return mean(self.iou)

    @property
    def quality(self) -> float | None:
        """PQ = RQ x SQ; 0.0 when nothing matches. 3 matched of IoU 0.8, 4 invented, 2 missed: 0.5 * 0.8 = 0.4."""
        return _product(self.recognition, self.segmentation)

    @property
    def quality_dice(self) -> float | None:
        """RQ x mean Dice of the matched pairs."""
        return _product(self.recognition, mean(self.dice))


def panoptic_quality(
    prediction: Mask, reference: Mask, spacing_mm: Spacing, iou_threshold: float = 0.5
) -> PanopticQuality:
    """Panoptic quality of two masks, whose instances are their 26-connected components.

    Edge cases: both empty, nothing to recognise, None; one empty, quality 0.0.

    Raises:
        ValueError: the shapes differ.
    """
    predicted, expected = (label_lesions(mask)[0] for mask in crop_to_content(prediction, reference))
    overlaps = count_overlaps(predicted, expected)
    return quality_of_pairs(predicted, expected, spacing_mm, overlaps, match_by_iou(overlaps, iou_threshold))


def quality_of_pairs(
    predicted: Labels, reference: Labels, spacing_mm: Spacing, overlaps: Overlaps, pairs: Sequence[Pair]
) -> PanopticQuality:
    """Panoptic quality of two maps of instance numbers whose pairs are given."""
    volumes = [
        (overlaps.predicted_voxels[theirs] - overlaps.reference_voxels[ours]) / overlaps.reference_voxels[ours]
        for ours, theirs in pairs
    ]
    boxes = InstanceBoxes(predicted, reference)
    distances = [average_symmetric_distance_mm(*boxes.masks(pair), spacing_mm) for pair in pairs]
    found = len(pairs)
    return PanopticQuality(
        counts=LesionCounts(found, len(overlaps.predicted_voxels) - found, len(overlaps.reference_voxels) - found),
        iou=tuple(overlaps.iou(pair) for pair in pairs),
        dice=tuple(overlaps.dice(pair) for pair in pairs),
        assd_mm=tuple(distances),
        relative_volumes=tuple(volumes),
    )


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return float(np.mean(values)) if values else None


def _product(recognition: float | None, drawn: float | None) -> float | None:
    if recognition is None:
        return None
    return recognition * drawn if drawn is not None else 0.0
