import numpy as np
import pytest
from scipy import stats

from common.statistics.rank_tests import RankTest, holm, mann_whitney, signed_ranks


def test_mann_whitney_by_hand_and_by_scipy() -> None:
    least = mann_whitney([1, 2, 3], [4, 5])
    assert (least.statistic, least.superiority, least.units) == (0.0, 0.0, 5)
    assert least.p == pytest.approx(0.2)
    rng = np.random.default_rng(0)
    one, two = np.round(rng.normal(0.7, 0.2, 30), 2), np.round(rng.normal(0.6, 0.2, 20), 2)
    found, expected = mann_whitney(one.tolist(), two.tolist()), stats.mannwhitneyu(one, two)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.superiority == pytest.approx(expected.statistic / 600)
    assert mann_whitney([], [1.0]) == RankTest(None, None, None, 1)
    assert mann_whitney([1.0, 1.0], [1.0]) == RankTest(1.0, 1.0, 0.5, 3)


def test_signed_ranks_by_hand_and_by_scipy() -> None:
    small = signed_ranks([1, 2, 3, 4, 5])
    assert (small.statistic, small.p, small.superiority) == pytest.approx((15.0, 0.0625, 1.0))
    values = np.random.default_rng(1).normal(0.3, 1, 25)
    expected = stats.wilcoxon(values, alternative="greater")
    found = signed_ranks(values.tolist())
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(stats.wilcoxon(values).pvalue)
    assert signed_ranks([0, 0]) == RankTest(0.0, 1.0, 0.5, 2)
    assert signed_ranks([]).p is None
    assert signed_ranks([0, 1, 1, -1]).superiority == pytest.approx(0.625)


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({1: 0.9, 2: 0.8}) == {1: 1.0, 2: 1.0}
    assert holm({}) == {}
    with pytest.raises(ValueError, match=r"p value of x is 1.2"):
        holm({"x": 1.2})


def test_holm_keeps_false_claims_rare() -> None:
    p = np.random.default_rng(2).random((4000, 12))
    claims = [min(holm(dict(enumerate(row))).values()) < 0.05 for row in p]
    assert np.mean(claims) == pytest.approx(0.05, abs=0.011)
