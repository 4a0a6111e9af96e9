"""Bland-Altman agreement of two sets of volumes: bias, limits of agreement, and how sure they are."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from common.metrics.intervals import LEVEL, Interval
from common.statistics.concordance import paired

LIMIT = 1.96
"""Standard deviations from the bias to a limit: 95 % of normal differences lie between the two."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences of pairs, or their ratios.

    Attributes:
        bias: mean difference `first - second`; on the log scale the geometric mean of `first / second`.
        lower, upper: limits of agreement, on the same scale as the bias.
        left_out: pairs that have no logarithm (a volume of 0); always 0 for differences.
    """

    bias: Interval
    lower: Interval
    upper: Interval
    left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """Bias `first - second` and limits of agreement, in the unit of the values.

    Differences (1, 2, 3, 4, 5) have bias 3 and limits 3 -+ 1.96 * 1.5811 = -0.099 and 6.099. Intervals: Student's
    t with n - 1 degrees of freedom, on a standard error of s sqrt(1 / n) for the bias and
    s sqrt(1 / n + 1.96^2 / (2 (n - 1))) for a limit. One pair has a bias only.

    Raises:
        ValueError: the lists differ in length, or a value is not finite.

    Source: Bland and Altman 1986, Lancet 327:307; 1999, Stat Methods Med Res 8:135, section 2.
    """
    x, y = paired(first, second)
    return _limits(x - y)


def agreement_of_ratios(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """The same on the log scale, given back as ratios `first / second`.

    Lesion volumes span four orders of magnitude and their errors grow with them: a bias in mm3 speaks of the
    largest lesions alone, a ratio of 1.1 says 10 % more for all. Pairs with a volume of 0 (a missed lesion) have
    no ratio: they are left out and counted.

    Raises:
        ValueError: the lists differ in length, or a value is not finite or below 0.

    Source: Bland and Altman 1999, section 3.1.
    """
    x, y = paired(first, second)
    if (x < 0).any() or (y < 0).any():
        raise ValueError("a volume is below 0: ratios are of volumes, not of differences")
    kept = (x > 0) & (y > 0)
    logs = _limits(np.log(x[kept]) - np.log(y[kept]))
    return Agreement(_raised(logs.bias), _raised(logs.lower), _raised(logs.upper), int((~kept).sum()))


def _limits(differences: np.ndarray) -> Agreement:
    count = len(differences)
    bias = float(differences.mean()) if count else None
    if bias is None or count < 2:
        unknown = Interval(None, None, None, count)
        return Agreement(Interval(bias, None, None, count), unknown, unknown)
    deviation = float(differences.std(ddof=1))
    factor = float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
    of_bias = factor * deviation / math.sqrt(count)
    of_limit = factor * deviation * math.sqrt(1 / count + LIMIT**2 / (2 * (count - 1)))
    return Agreement(
        _around(bias, of_bias, count),
        _around(bias - LIMIT * deviation, of_limit, count),
        _around(bias + LIMIT * deviation, of_limit, count),
    )


def _around(centre: float, half: float, count: int) -> Interval:
    return Interval(centre, centre - half, centre + half, count)


def _raised(log: Interval) -> Interval:
    estimate, low, high = (None if v is None else math.exp(v) for v in (log.estimate, log.low, log.high))
    return Interval(estimate, low, high, log.units)
