"""Every measure of one region of one case at once."""

import math
from dataclasses import dataclass, replace

from common.metrics.confusion import VoxelCounts, count_voxels
from common.metrics.lesionwise import BRATS_METS_2023, Lesionwise, LesionwiseRule, score_lesionwise
from common.metrics.overlap import Mask, crop_to_content
from common.metrics.panoptic import PanopticQuality, panoptic_quality
from common.metrics.panoptica_rule import PanopticaScores, score_panoptica
from common.metrics.surface import hd95_directed_mm, hd95_pooled_mm, surface_dice
from common.metrics.surfels import Spacing

TOLERANCE_MM = 1.0


@dataclass(frozen=True, slots=True)
class RegionScores:
    """One region of one case.

    Attributes:
        voxels: counts over the whole scan.
        hd95_mm: `surface.hd95_directed_mm`; infinity when one mask is empty.
        hd95_pooled_mm: `surface.hd95_pooled_mm`; infinity when one mask is empty.
        surface_dice: within `tolerance_mm`.
        lesionwise: by the BraTS-METS 2023/24 rule.
        panoptica: by the BraTS-METS 2025/26 rule.
        panoptic: instances matched at an IoU of one half.
        tolerance_mm: of the surface Dice.
    """

    voxels: VoxelCounts
    hd95_mm: float
    hd95_pooled_mm: float
    surface_dice: float
    lesionwise: Lesionwise
    panoptica: PanopticaScores
    panoptic: PanopticQuality
    tolerance_mm: float


def score_region(
    prediction: Mask,
    reference: Mask,
    spacing_mm: Spacing,
    rule: LesionwiseRule = BRATS_METS_2023,
    tolerance_mm: float = TOLERANCE_MM,
    scan_voxels: int | None = None,
) -> RegionScores:
    """Score two masks of one scan.

    Everything is computed in the smallest box around both masks, which changes no number: surfaces end at the
    masks, and what a dilation would reach outside the box it also reaches on the box's face.

    Args:
        prediction: (X, Y, Z), whatever is not 0 is foreground; likewise `reference`.
        reference: the same grid.
        spacing_mm: edges of its voxels.
        rule: of the lesion-wise scores.
        tolerance_mm: of the surface Dice.
        scan_voxels: size of the scan when the masks are cut out of it; they must hold all that is foreground.

    Raises:
        ValueError: the shapes differ, or a spacing or the tolerance cannot be.
    """
    if not all(math.isfinite(edge) and edge > 0.0 for edge in spacing_mm):
        raise ValueError(f"spacing_mm must be three lengths above 0, got {spacing_mm}")
    inside = count_voxels(prediction, reference)
    outside = 0 if scan_voxels is None else scan_voxels - prediction.size
    predicted, expected = crop_to_content(prediction, reference)
    return RegionScores(
        voxels=replace(inside, tn=inside.tn + outside),
        hd95_mm=hd95_directed_mm(predicted, expected, spacing_mm),
        hd95_pooled_mm=hd95_pooled_mm(predicted, expected, spacing_mm),
        surface_dice=surface_dice(predicted, expected, spacing_mm, tolerance_mm),
        lesionwise=score_lesionwise(predicted, expected, spacing_mm, rule),
        panoptica=score_panoptica(predicted, expected, spacing_mm),
        panoptic=panoptic_quality(predicted, expected, spacing_mm),
        tolerance_mm=tolerance_mm,
    )
