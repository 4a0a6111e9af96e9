"""Voxel counts of a prediction against its reference, and the measures that are ratios of them.

Edge cases, for every measure but specificity: both masks empty 1.0 (nothing to find, nothing marked), one empty
0.0. Specificity without any background voxel is 1.0. With one voxel in ten thousand diseased, specificity is 1.000
for any sane prediction: it says nothing of false positives; count them per scan instead.
"""

import math
from dataclasses import dataclass

import numpy as np

from common.metrics.overlap import Mask, require_same_shape


@dataclass(frozen=True, slots=True)
class VoxelCounts:
    """Voxels by what was predicted and what is so.

    Attributes:
        tp, fp, fn, tn: true and false positives, false and true negatives.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN): 2, 3 and 1 give 4 / 8 = 0.5."""
        return self._share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """Jaccard index, TP / (TP + FP + FN) = Dice / (2 - Dice): 2, 3 and 1 give 2 / 6."""
        return self._share(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return self._share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Voxel sensitivity, TP / (TP + FN)."""
        return self._share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP)."""
        return self.tn / (self.tn + self.fp) if self.tn + self.fp else 1.0

    @property
    def mcc(self) -> float:
        """Matthews correlation; 0.0 where a row or column of the table is empty and the masks differ."""
        product = math.prod((self.tp + self.fp, self.tp + self.fn, self.tn + self.fp, self.tn + self.fn))
        if product == 0:
            return 1.0 if self.fp == self.fn == 0 else 0.0
        return (self.tp * self.tn - self.fp * self.fn) / math.sqrt(product)

    def _share(self, part: int, whole: int) -> float:
        if whole:
            return part / whole
        return 1.0 if self.fp == self.fn == 0 else 0.0


def count_voxels(prediction: Mask, reference: Mask) -> VoxelCounts:
    """Count two masks of one shape; whatever is not 0 is foreground.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(prediction, reference)
    predicted, expected = prediction != 0, reference != 0
    marked, real = int(np.count_nonzero(predicted)), int(np.count_nonzero(expected))
    both = int(np.count_nonzero(predicted & expected))
    return VoxelCounts(tp=both, fp=marked - both, fn=real - both, tn=predicted.size - marked - real + both)
