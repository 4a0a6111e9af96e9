"""DeLong's variance of an AUC and tests between two: on the same cases, and on two groups of cases.

Which test applies is a matter of design: two models on the same cases are paired, one model on women and on men is
not. A paired test between independent groups has no meaning, and nothing here chooses for the caller. The unit is
whatever a score stands for; voxels of one brain are not independent, so an interval needs scores of patients.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.metrics.intervals import LEVEL, Interval

_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auc:
    """Area under the ROC curve.

    Attributes:
        estimate: chance that a positive scores above a negative, ties counting one half.
        variance: DeLong's; NaN with fewer than two positives or two negatives.
        of_positives: (positives,) each one's share of negatives below it.
        of_negatives: (negatives,) each one's share of positives above it.
    """

    estimate: float
    variance: float
    of_positives: _Floats
    of_negatives: _Floats

    @property
    def units(self) -> int:
        """Positives and negatives together."""
        return len(self.of_positives) + len(self.of_negatives)

    def interval(self) -> Interval:
        """Normal interval, cut to 0 and 1."""
        if math.isnan(self.variance):
            return Interval(self.estimate, None, None, self.units)
        half = _normal_factor() * math.sqrt(self.variance)
        return Interval(self.estimate, max(0.0, self.estimate - half), min(1.0, self.estimate + half), self.units)


@dataclass(frozen=True, slots=True)
class AucTest:
    """A comparison of two AUCs.

    Attributes:
        difference: first minus second, with its interval.
        statistic: difference over its standard error.
        p: two-sided.
        degrees_of_freedom: of the t distribution that p is from; infinite for the normal.
    """

    difference: Interval
    statistic: float
    p: float
    degrees_of_freedom: float


def auc(positive: Sequence[bool], scores: Sequence[float]) -> Auc:
    """AUC with DeLong's variance, by midranks in O(n log n).

    Positives (0.8, 0.4), negatives (0.5, 0.2): three of four pairs are in order, 0.75.

    Args:
        positive: the truth of every unit.
        scores: higher for positive; any scale.

    Raises:
        ValueError: lengths differ, a score is NaN, or one of the classes is empty.

    Source: DeLong et al. 1988, Biometrics 44:837; Sun and Xu 2014, IEEE Signal Process Lett 21:1389.
    """
    truth, values = np.asarray(positive, bool), np.asarray(scores, np.float64)
    if truth.shape != values.shape:
        raise ValueError(f"{truth.size} truths against {values.size} scores: give one of each for every unit")
    if np.isnan(values).any():
        raise ValueError(f"score of unit {int(np.flatnonzero(np.isnan(values))[0])} is NaN: leave it out")
    above, below = values[truth], values[~truth]
    if not len(above) or not len(below):
        raise ValueError(f"{len(above)} positives and {len(below)} negatives: an AUC needs both")
    ranks = stats.rankdata(values)
    of_positives = (ranks[truth] - stats.rankdata(above)) / len(below)
    of_negatives = 1.0 - (ranks[~truth] - stats.rankdata(below)) / len(above)
    variance = _covariance(of_positives, of_positives, of_negatives, of_negatives)
    return Auc(float(of_positives.mean()), variance, of_positives, of_negatives)


def auc_covariance(first: Auc, second: Auc) -> float:
    """Covariance of two AUCs on the same units in the same order; raises ValueError when their numbers differ."""
    sizes = [(len(one.of_positives), len(one.of_negatives)) for one in (first, second)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"positives and negatives {sizes[0]} against {sizes[1]}: not the same units")
    return _covariance(first.of_positives, second.of_positives, first.of_negatives, second.of_negatives)


def compare_paired(positive: Sequence[bool], first: Sequence[float], second: Sequence[float]) -> AucTest:
    """Two scores of the same units, by the normal distribution.

    Two scores that order the units alike differ by 0 with certainty: p is 1.

    Raises:
        ValueError: as `auc`, or fewer than two positives or negatives.
    """
    one, two = auc(positive, first), auc(positive, second)
    variance = one.variance + two.variance - 2.0 * auc_covariance(one, two)
    return _test(one, two, variance, math.inf, one.units)


def compare_unpaired(first: Auc, second: Auc) -> AucTest:
    """Two independent groups of units, such as women and men, by Student's t with Welch's degrees of freedom.

    z = (A1 - A2) / sqrt(v1 + v2); df = (v1 + v2)^2 / (v1^2 / (N1 - 1) + v2^2 / (N2 - 1)), N all units of a group.

    Raises:
        ValueError: a group has fewer than two positives or negatives.

    Source: Robin et al. 2011, BMC Bioinformatics 12:77.
    """
    variance = first.variance + second.variance
    spread = first.variance**2 / (first.units - 1) + second.variance**2 / (second.units - 1)
    degrees = variance**2 / spread if spread else math.inf
    return _test(first, second, variance, degrees, first.units + second.units)


def _covariance(pos1: _Floats, pos2: _Floats, neg1: _Floats, neg2: _Floats) -> float:
    if len(pos1) < 2 or len(neg1) < 2:
        return math.nan
    return float(np.cov(pos1, pos2)[0, 1] / len(pos1) + np.cov(neg1, neg2)[0, 1] / len(neg1))


def _test(first: Auc, second: Auc, variance: float, degrees: float, units: int) -> AucTest:
    if math.isnan(variance):
        raise ValueError("fewer than two positives or two negatives in a group: their spread is unknown")
    difference = first.estimate - second.estimate
    error = math.sqrt(max(variance, 0.0))
    if error < 1e-12:
        same = difference == 0.0
        statistic, p = (0.0, 1.0) if same else (math.copysign(math.inf, difference), 0.0)
        return AucTest(Interval(difference, difference, difference, units), statistic, p, degrees)
    statistic = difference / error
    law = stats.norm() if math.isinf(degrees) else stats.t(degrees)
    half = float(law.ppf((1 + LEVEL) / 2)) * error
    interval = Interval(difference, difference - half, difference + half, units)
    return AucTest(interval, statistic, float(2.0 * law.sf(abs(statistic))), degrees)


def _normal_factor() -> float:
    return float(stats.norm.ppf((1 + LEVEL) / 2))
