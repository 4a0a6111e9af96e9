"""Concordance correlation: how nearly two readers' measurements lie on the line of equality."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from common.metrics.intervals import LEVEL, Interval

_ROUNDING = 1e-12


def concordance(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Lin's concordance correlation coefficient with its asymptotic interval.

    2 s12 / (s1^2 + s2^2 + (m1 - m2)^2), with moments over n, not n - 1. A reader who always says 10 mm3 more
    correlates perfectly and agrees less: (1, 2, 3) with (2, 3, 4) is 2 (2/3) / (2/3 + 2/3 + 1) = 4/7. The interval
    is symmetric on the scale of Fisher's z.

    Edge cases: fewer than two pairs, or neither list varies and both are equal: estimate None. Fewer than four
    pairs, no correlation at all (the variance has it in its denominator), perfect agreement, or perfect
    correlation about one mean (the variance is 0, or just below by rounding): no interval.

    Args:
        first: one value a subject, such as lesion volumes in mm3; the subjects are taken to be independent.
        second: the same subjects, in the same order.

    Raises:
        ValueError: the lists differ in length, or a value is not finite.

    Source: Lin 1989, Biometrics 45:255, with the variance as corrected in Biometrics 56:324 (2000).
    """
    x, y = paired(first, second)
    count = len(x)
    if count < 2:
        return Interval(None, None, None, count)
    spread_x, spread_y, shift = float(x.var()), float(y.var()), float(x.mean() - y.mean())
    total = spread_x + spread_y + shift**2
    if total == 0.0:
        return Interval(None, None, None, count)
    together = float(((x - x.mean()) * (y - y.mean())).mean())
    estimate = 2.0 * together / total
    if count < 4 or together == 0.0 or 1.0 - abs(estimate) < _ROUNDING:
        return Interval(estimate, None, None, count)
    correlation = together / math.sqrt(spread_x * spread_y)
    variance = _z_variance(estimate, correlation, shift**2 / math.sqrt(spread_x * spread_y), count)
    if variance < _ROUNDING:
        return Interval(estimate, None, None, count)
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) * math.sqrt(variance)
    centre = math.atanh(estimate)
    return Interval(estimate, math.tanh(centre - half), math.tanh(centre + half), count)


def paired(first: Sequence[float], second: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Two lists as float64 arrays; raises ValueError unless they are of one length and finite."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"{x.size} values against {y.size}: give one of each for every subject")
    odd = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    if odd.size:
        raise ValueError(f"subject {odd[0]} has ({x[odd[0]]}, {y[odd[0]]}): leave out what was not measured")
    return x, y


def _z_variance(estimate: float, correlation: float, shift_squared: float, count: int) -> float:
    """Variance of atanh(estimate); `shift_squared` is (m1 - m2)^2 / (s1 s2)."""
    c, r, u2 = estimate, correlation, shift_squared
    return (
        (1 - r**2) * c**2 / ((1 - c**2) * r**2)
        + 2 * c**3 * (1 - c) * u2 / (r * (1 - c**2) ** 2)
        - c**4 * u2**2 / (2 * r**2 * (1 - c**2) ** 2)
    ) / (count - 2)
