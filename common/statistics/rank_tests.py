"""Rank tests between groups of patients, and Holm's correction for asking several questions.

Mann-Whitney is for two groups of different patients, Wilcoxon's signed ranks for the same patients twice: on
paired data Mann-Whitney throws the pairing away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class RankTest:
    """A two-sided rank test.

    Attributes:
        statistic: Mann-Whitney's U of the first group, or the sum of Wilcoxon's positive ranks.
        p: two-sided; None where there was nothing to test.
        superiority: chance that a value of the first group is above one of the second, ties one half (an AUC): the
            size of an effect, which p is not. For pairs, the share of pairs in which the first is above.
        units: patients.
    """

    statistic: float | None
    p: float | None
    superiority: float | None
    units: int


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> RankTest:
    """Two independent groups; exact for small groups without ties, normal with tie correction otherwise.

    (1, 2, 3) against (4, 5): no value of the first is above, U = 0, superiority 0, p = 0.2. A group without values
    gives None.
    """
    units = len(first) + len(second)
    if not first or not second:
        return RankTest(None, None, None, units)
    if len({*first, *second}) == 1:
        return RankTest(len(first) * len(second) / 2, 1.0, 0.5, units)
    found = stats.mannwhitneyu(np.asarray(first, float), np.asarray(second, float), alternative="two-sided")
    statistic = float(found.statistic)
    return RankTest(statistic, float(found.pvalue), statistic / (len(first) * len(second)), units)


def signed_ranks(differences: Sequence[float]) -> RankTest:
    """Wilcoxon's test that paired differences lie about 0; those that are 0 say nothing and are dropped.

    (1, 2, 3, 4, 5) has positive ranks 15 and p = 2 / 2^5 = 0.0625. Only zeros: p is 1. No differences: None.
    """
    values = np.asarray(differences, float)
    if not values.size:
        return RankTest(None, None, None, 0)
    superiority = float(((values > 0) + 0.5 * (values == 0)).mean())
    told = values[values != 0]
    if not told.size:
        return RankTest(0.0, 1.0, superiority, len(values))
    ranks = stats.rankdata(np.abs(told))
    p = float(stats.wilcoxon(told, alternative="two-sided").pvalue)
    return RankTest(float(ranks[told > 0].sum()), p, superiority, len(values))


def holm(p_values: Mapping[_Key, float]) -> dict[_Key, float]:
    """P values adjusted so that the chance of any false claim among all of them stays at the level.

    0.01, 0.04, 0.03 become 0.03, 0.06, 0.06: the smallest times 3, the next times 2, none below the one before,
    none above 1. The family is what was tested, not what came out; leave no test out.

    Raises:
        ValueError: a p value outside 0 to 1.

    Source: Holm 1979, Scand J Statist 6:65.
    """
    for key, p in p_values.items():
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p value of {key} is {p}: not between 0 and 1")
    ordered = sorted(p_values, key=lambda key: p_values[key])
    adjusted: dict[_Key, float] = {}
    highest = 0.0
    for place, key in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - place) * p_values[key]))
        adjusted[key] = highest
    return {key: adjusted[key] for key in p_values}
