"""Lesions found, missed and invented, and the measures that are ratios of them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LesionCounts:
    """Lesions of one case or of many.

    Attributes:
        tp: reference lesions found.
        fp: predicted lesions that belong to no reference lesion.
        fn: reference lesions missed.
    """

    tp: int
    fp: int
    fn: int

    @property
    def sensitivity(self) -> float | None:
        """TP / (TP + FN); None without reference lesions."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); None when nothing was found and nothing invented."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None when there is nothing to find and nothing was marked."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def total_counts(counts: Iterable[LesionCounts]) -> LesionCounts:
    """The sums over cases."""
    every = list(counts)
    return LesionCounts(sum(c.tp for c in every), sum(c.fp for c in every), sum(c.fn for c in every))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
