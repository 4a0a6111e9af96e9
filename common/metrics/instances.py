"""Instances of prediction and reference: their sizes, how they overlap, and who belongs to whom."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from common.metrics.overlap import require_same_shape

Labels = npt.NDArray[np.integer]
Pair = tuple[int, int]
"""A reference instance and the predicted instance matched with it."""

_NO_OVERLAP_COST = 1.0 + 1e-6


@dataclass(frozen=True, slots=True)
class Overlaps:
    """What matching needs to know of two label maps.

    Attributes:
        reference_voxels, predicted_voxels: size by instance.
        shared_voxels: size of the intersection by (reference, predicted), only those above 0.
    """

    reference_voxels: Mapping[int, int]
    predicted_voxels: Mapping[int, int]
    shared_voxels: Mapping[Pair, int]

    def iou(self, pair: Pair) -> float:
        """Intersection over union of a reference and a predicted instance."""
        shared = self.shared_voxels.get(pair, 0)
        return shared / (self.reference_voxels[pair[0]] + self.predicted_voxels[pair[1]] - shared)

    def dice(self, pair: Pair) -> float:
        """Dice of a reference and a predicted instance."""
        both = self.reference_voxels[pair[0]] + self.predicted_voxels[pair[1]]
        return 2.0 * self.shared_voxels.get(pair, 0) / both


class InstanceBoxes:
    """Where every instance lies, so that a pair is compared in its own box and not in the whole scan."""

    def __init__(self, predicted: Labels, reference: Labels) -> None:
        self._predicted, self._reference = predicted, reference
        self._places = [ndimage.find_objects(labels) if labels.size else [] for labels in (reference, predicted)]

    def masks(self, pair: Pair) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """The predicted and the reference instance, in the smallest box around both."""
        found = [places[number - 1] for places, number in zip(self._places, pair, strict=True)]
        box = tuple(
            slice(min(edge.start for edge in edges), max(edge.stop for edge in edges))
            for edges in zip(*(place for place in found if place is not None), strict=True)
        )
        return self._predicted[box] == pair[1], self._reference[box] == pair[0]


def count_overlaps(predicted: Labels, reference: Labels) -> Overlaps:
    """Count two maps of instance numbers, 0 background.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(predicted, reference)
    common = (reference != 0) & (predicted != 0)
    width = int(predicted.max(initial=0)) + 1
    keys, counts = np.unique(reference[common].astype(np.int64) * width + predicted[common], return_counts=True)
    shared = {divmod(int(key), width): int(count) for key, count in zip(keys, counts, strict=True)}
    return Overlaps(_sizes(reference), _sizes(predicted), shared)


def match_by_iou(overlaps: Overlaps, threshold: float = 0.5) -> list[Pair]:
    """Pairs of an IoU of at least `threshold`, best first, each instance once.

    Above one half no instance can have two partners; the order decides only below it.
    Source: Kirillov et al. 2019, arXiv:1801.00868.
    """
    scored = sorted((-overlaps.iou(pair), pair) for pair in overlaps.shared_voxels)
    taken: set[tuple[str, int]] = set()
    matched = []
    for negative, pair in scored:
        sides = {("reference", pair[0]), ("predicted", pair[1])}
        if -negative >= threshold and not sides & taken:
            taken |= sides
            matched.append(pair)
    return sorted(matched)


def match_one_to_one(overlaps: Overlaps) -> list[Pair]:
    """The pairing of overlapping instances, each at most once, of the largest sum of Dice.

    Two reference lesions under one predicted blob: one of them is matched, the other is missed.
    Source: Kuhn 1955; panoptica's maximum bipartite matching.
    """
    rows, columns = sorted(overlaps.reference_voxels), sorted(overlaps.predicted_voxels)
    if not rows or not columns:
        return []
    row, column = ({number: index for index, number in enumerate(numbers)} for numbers in (rows, columns))
    cost = np.full((len(rows), len(columns)), _NO_OVERLAP_COST)
    for pair in overlaps.shared_voxels:
        cost[row[pair[0]], column[pair[1]]] = 1.0 - overlaps.dice(pair)
    chosen = zip(*linear_sum_assignment(cost), strict=True)
    pairs = [(rows[int(i)], columns[int(j)]) for i, j in chosen]
    return [pair for pair in pairs if pair in overlaps.shared_voxels]


def _sizes(labels: Labels) -> dict[int, int]:
    """Voxels by instance."""
    counts = np.bincount(labels.ravel(order="K")) if labels.size else np.zeros(1, np.int64)
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts) if number}
