"""The lesion-wise rules and distances written as their text reads, on whole volumes, slowly.

Nothing of common/metrics is used: components and dilations are scipy's, distances come from distance transforms
of the whole scan, and the surface areas are MONAI's. The oracle of the tests and the yardstick of the benchmark.
"""

import math

import numpy as np
import numpy.typing as npt
from monai.metrics.utils import ENCODING_KERNEL, create_table_neighbour_code_to_surface_area
from scipy import ndimage

Bits = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]
_Floats = npt.NDArray[np.float64]

_PENALTY_MM = 374.0
_CORNERS = np.ones((3, 3, 3), int)
_EDGES = ndimage.generate_binary_structure(3, 2)
_FACES = ndimage.generate_binary_structure(3, 1)


def plain_scores(prediction: Bits, reference: Bits, spacing_mm: Spacing) -> dict[str, float]:
    """Dice, both HD95 and the lesion-wise scores of the BraTS-METS 2023 rule, for two masks that are not empty."""
    lesions, kept_dice, kept_hd95, found = _lesions(reference), [], [], 0
    components, count = ndimage.label(prediction, _CORNERS)
    claimed: set[int] = set()
    for lesion in lesions:
        near = ndimage.binary_dilation(lesion, _EDGES)
        matches = set(np.unique(components[near]).tolist()) - {0}
        claimed |= matches
        if np.count_nonzero(lesion) * math.prod(spacing_mm) <= 2.0:
            continue
        answer = np.isin(components, sorted(matches))
        found += bool(matches)
        kept_dice.append(plain_dice(answer, lesion))
        kept_hd95.append(plain_hd95_directed(answer, lesion, spacing_mm) if matches else _PENALTY_MM)
    false = count - len(claimed)
    units = len(kept_dice) + false
    return {
        "dice": plain_dice(prediction, reference),
        "hd95": plain_hd95_directed(prediction, reference, spacing_mm),
        "hd95_pooled": plain_hd95_pooled(prediction, reference, spacing_mm),
        "lesionwise_dice": sum(kept_dice) / units if units else 1.0,
        "lesionwise_hd95": (sum(kept_hd95) + _PENALTY_MM * false) / units if units else 0.0,
        "tp": found,
        "fp": false,
        "fn": len(kept_dice) - found,
    }


def plain_dice(prediction: Bits, reference: Bits) -> float:
    """Twice the intersection over the sum."""
    return 2.0 * float((prediction & reference).sum()) / float(prediction.sum() + reference.sum())


def plain_hd95_directed(prediction: Bits, reference: Bits, spacing_mm: Spacing) -> float:
    """Larger of the two directed 95th percentiles, by area."""
    codes, areas = _codes(prediction, reference), _areas(spacing_mm)
    surfaces = [(code != 0) & (code != 255) for code in codes]
    ends = []
    for own, other, code in ((0, 1, codes[0]), (1, 0, codes[1])):
        distances = ndimage.distance_transform_edt(~surfaces[other], sampling=spacing_mm)[surfaces[own]]
        pieces = np.array(sorted(zip(distances, areas[code[surfaces[own]]], strict=True)))
        share = np.cumsum(pieces[:, 1]) / np.sum(pieces[:, 1])
        ends.append(float(pieces[min(int(np.searchsorted(share, 0.95)), len(pieces) - 1), 0]))
    return max(ends)


def plain_surface_dice(prediction: Bits, reference: Bits, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """Share of both surfaces, by area, within the tolerance."""
    codes, areas = _codes(prediction, reference), _areas(spacing_mm)
    surfaces = [(code != 0) & (code != 255) for code in codes]
    within = total = 0.0
    for own, other, code in ((0, 1, codes[0]), (1, 0, codes[1])):
        distances = ndimage.distance_transform_edt(~surfaces[other], sampling=spacing_mm)[surfaces[own]]
        sizes = areas[code[surfaces[own]]]
        within += float(sizes[distances <= tolerance_mm].sum())
        total += float(sizes.sum())
    return within / total


def plain_hd95_pooled(prediction: Bits, reference: Bits, spacing_mm: Spacing) -> float:
    """95th percentile of both directions together, over border voxels."""
    borders = [mask & ~ndimage.binary_erosion(mask, _FACES) for mask in (prediction, reference)]
    distances = [
        ndimage.distance_transform_edt(~other, sampling=spacing_mm)[own]
        for own, other in (borders, reversed(borders))
    ]
    return float(np.percentile(np.concatenate(distances), 95))


def _lesions(reference: Bits) -> list[Bits]:
    """Reference lesions: components of the dilated mask, cut back to the mask."""
    grown, count = ndimage.label(ndimage.binary_dilation(reference, _EDGES), _CORNERS)
    return [reference & (grown == number) for number in range(1, count + 1)]


def _codes(*masks: Bits) -> list[npt.NDArray[np.int64]]:
    kernel = np.asarray(ENCODING_KERNEL[3])
    return [ndimage.correlate(np.pad(mask, 1).astype(int), kernel, mode="constant") for mask in masks]


def _areas(spacing_mm: Spacing) -> _Floats:
    return np.asarray(create_table_neighbour_code_to_surface_area(spacing_mm)[0], np.float64)
