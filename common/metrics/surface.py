"""Distances between the surfaces of two masks, each definition under its own name.

| function | surface | weights | HD95 |
|-|-|-|-|
| hd95_directed_mm | surfels | area | larger of the two directed 95th percentiles (BraTS 2023/24) |
| hd95_pooled_mm | border voxels | none | 95th percentile of both directions together (MedPy, panoptica) |
| surface_dice | surfels | area | |
| normalised_surface_dice | border voxels | none | |
| average_symmetric_distance_mm | border voxels | none | |

The two HD95 differ on the same masks: never compare one with the other.
Edge cases: both empty is distance 0 and Dice 1 (nothing to find, nothing marked); one empty is infinity and 0.
A rule that writes a number for infinity (374 mm, the diagonal of 240 x 240 x 155 voxels) says so itself.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.metrics.nearest import nearest_mm
from common.metrics.overlap import Mask, content_box, crop_to_content, require_same_shape
from common.metrics.surfels import Points, Spacing, Surfels, surfels_of

_Floats = npt.NDArray[np.float64]
_FACES = ndimage.generate_binary_structure(3, 1)


def hd95_directed_mm(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """The larger of the two directed 95th percentiles of the distance, weighted by surface area.

    Edge cases: both empty 0.0, one empty infinity. Two voxels of 1 mm, 3 mm apart: 3.0.

    Raises:
        ValueError: the shapes differ.

    Source: Nikolov et al. 2018, arXiv:1809.04430; the HD95 of BraTS 2023 and 2024.
    """
    require_same_shape(prediction, reference)
    predicted, expected = (surfels_of(mask, spacing_mm) for mask in crop_to_content(prediction, reference))
    return hd95_of_surfels_mm(predicted, expected, spacing_mm)


def hd95_of_surfels_mm(predicted: Surfels, expected: Surfels, spacing_mm: Spacing) -> float:
    """`hd95_directed_mm` of two surfaces on one grid."""
    if len(predicted.cells) == 0 and len(expected.cells) == 0:
        return 0.0
    if len(predicted.cells) == 0 or len(expected.cells) == 0:
        return math.inf
    there = nearest_mm(expected.cells, predicted.cells, spacing_mm)
    back = nearest_mm(predicted.cells, expected.cells, spacing_mm)
    return max(_weighted_95th(there, expected.areas_mm2), _weighted_95th(back, predicted.areas_mm2))


def surface_dice(prediction: Mask, reference: Mask, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """Share of both surfaces, by area, that lies within a tolerance of the other one.

    Edge cases: both empty 1.0, one empty 0.0; a distance equal to the tolerance is within it.

    Raises:
        ValueError: the shapes differ, or the tolerance is negative or not a number.

    Source: Nikolov et al. 2018, arXiv:1809.04430.
    """
    require_same_shape(prediction, reference)
    if not tolerance_mm >= 0.0:
        raise ValueError(f"tolerance_mm must be 0 or more, got {tolerance_mm}")
    predicted, expected = (surfels_of(mask, spacing_mm) for mask in crop_to_content(prediction, reference))
    total = float(predicted.areas_mm2.sum() + expected.areas_mm2.sum())
    if total == 0.0:
        return 1.0
    there = nearest_mm(expected.cells, predicted.cells, spacing_mm) <= tolerance_mm
    back = nearest_mm(predicted.cells, expected.cells, spacing_mm) <= tolerance_mm
    return float(expected.areas_mm2[there].sum() + predicted.areas_mm2[back].sum()) / total


def hd95_pooled_mm(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """95th percentile of the distances of all border voxels of both masks, pooled.

    Edge cases: both empty 0.0, one empty infinity.

    Raises:
        ValueError: the shapes differ.

    Source: MedPy's hd95; the HD95 of panoptica and so of BraTS 2025 and 2026.
    """
    return pooled_95th(*border_distances_mm(prediction, reference, spacing_mm))


def normalised_surface_dice(
    prediction: Mask, reference: Mask, spacing_mm: Spacing, tolerance_mm: float | None = None
) -> float:
    """Mean over the two masks of the share of border voxels within a tolerance of the other's border.

    Not `surface_dice`: it weighs voxels, not area, and both masks alike however unlike their sizes.
    Edge cases: both empty 1.0, one empty 0.0.

    Args:
        prediction: (X, Y, Z), whatever is not 0 is foreground; likewise `reference`.
        reference: the same grid.
        spacing_mm: edges of its voxels.
        tolerance_mm: None is the smallest voxel edge.

    Raises:
        ValueError: the shapes differ.

    Source: panoptica's NSD.
    """
    there, back = border_distances_mm(prediction, reference, spacing_mm)
    tolerance = min(spacing_mm) if tolerance_mm is None else tolerance_mm
    return shares_within(there, back, tolerance)


def average_symmetric_distance_mm(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """Mean of the two directed mean distances between border voxels (ASSD).

    Edge cases: both empty 0.0, one empty infinity.

    Raises:
        ValueError: the shapes differ.
    """
    return mean_of_means(*border_distances_mm(prediction, reference, spacing_mm))


def border_distances_mm(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> tuple[_Floats, _Floats]:
    """Distances from the predicted border to the reference's, and back, over border voxels.

    A border voxel is a foreground voxel with a face towards background or out of the array.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(prediction, reference)
    predicted, expected = (border_voxels(mask) for mask in (prediction, reference))
    return nearest_mm(predicted, expected, spacing_mm), nearest_mm(expected, predicted, spacing_mm)


def border_voxels(mask: Mask) -> Points:
    """(n, 3) indices of the border voxels."""
    box = content_box(mask)
    inside = mask[box] != 0
    border = inside & ~ndimage.binary_erosion(inside, _FACES) if inside.size else inside
    return np.argwhere(border) + np.array([edge.start for edge in box], np.int64)


def pooled_95th(there: _Floats, back: _Floats) -> float:
    """95th percentile of both directions together: 0.0 without any, infinity when only one mask is empty."""
    pooled = np.concatenate([there, back])
    if pooled.size == 0:
        return 0.0
    return math.inf if np.isinf(pooled).any() else float(np.percentile(pooled, 95))


def shares_within(there: _Floats, back: _Floats, tolerance_mm: float) -> float:
    """Mean of the two shares of distances within a tolerance: 1.0 without any, 0.0 when one mask is empty."""
    if there.size == 0 and back.size == 0:
        return 1.0
    if there.size == 0 or back.size == 0:
        return 0.0
    return (float(np.mean(there <= tolerance_mm)) + float(np.mean(back <= tolerance_mm))) / 2.0


def mean_of_means(there: _Floats, back: _Floats) -> float:
    """Mean of the two means: 0.0 without any distance, infinity when one mask is empty."""
    if there.size == 0 and back.size == 0:
        return 0.0
    if there.size == 0 or back.size == 0:
        return math.inf
    return (float(there.mean()) + float(back.mean())) / 2.0


def _weighted_95th(distances_mm: _Floats, areas_mm2: _Floats) -> float:
    """The smallest distance within which 95 % of the area lies."""
    order = np.lexsort((areas_mm2, distances_mm))
    areas = areas_mm2[order]
    covered = np.cumsum(areas) / np.sum(areas)
    index = int(np.searchsorted(covered, 0.95))
    return float(distances_mm[order][min(index, len(order) - 1)])
