"""Whether validation sums are ones that an honest site can have."""

import math

from common.metrics.scores import VOLUME_BANDS
from common.protocol import SUPPRESSED, CaseSums, IncomingScores, LesionCounts

MAX_LESIONS = 1_000_000_000
_ROUNDING = 1e-6


def credible_scores(scores: IncomingScores, smallest_cell: int, most: int) -> bool:
    """None, "suppressed", or sums that hold together, over `smallest_cell` to `most` patients and exams.

    Dice lies between 0 and 1, no more lesions are found than there are, and the classes of volume fit into all of
    them. By Cauchy and Schwarz (sum x)^2 / n is at most sum x^2, and without negative x that is at most (sum x)^2.
    Without the latter one site could widen the pooled interval of false positives as it likes.
    """
    if scores is None or scores == SUPPRESSED:
        return True
    return (
        is_count(scores.patients, smallest_cell, most)
        and is_count(scores.cases, scores.patients, most)
        and _credible_squares(scores.dice, scores.dice_squared, scores.patients)
        and scores.dice_squared <= scores.dice + _ROUNDING
        and scores.dice <= scores.patients + _ROUNDING
        and _credible_squares(scores.false_positives, scores.false_positives_squared, scores.patients)
        and _credible_lesions(scores)
    )


def is_count(value: object, least: int, most: int) -> bool:
    """A whole number in range; True is no count, nor is 5.0."""
    return type(value) is int and least <= value <= most


def is_finite(value: object) -> bool:
    """A number that is neither NaN nor infinite; True is none."""
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _credible_squares(total: float, squares: float, count: int) -> bool:
    if not (is_finite(total) and is_finite(squares) and 0 <= total <= MAX_LESIONS):
        return False
    least, most = total * (total / count), total * total
    return least <= squares * (1 + _ROUNDING) + _ROUNDING and squares <= most * (1 + _ROUNDING) + _ROUNDING


def _credible_lesions(sums: CaseSums) -> bool:
    told = [*sums.by_volume.values(), *([] if sums.lesions is None else [sums.lesions])]
    if not (set(sums.by_volume) <= set(VOLUME_BANDS) and all(_credible_counts(one) for one in told)):
        return False
    if sums.lesions is None:  # lesions of few patients: each class that has one is hidden with them
        return all(one.lesions == 0 for one in sums.by_volume.values())
    lesions = sums.lesions.lesions - sum(one.lesions for one in sums.by_volume.values())
    found = sums.lesions.found - sum(one.found for one in sums.by_volume.values())
    return 0 <= found <= lesions and (lesions == 0 or set(sums.by_volume) < set(VOLUME_BANDS))


def _credible_counts(counts: LesionCounts) -> bool:
    return is_count(counts.lesions, 0, MAX_LESIONS) and is_count(counts.found, 0, counts.lesions)
