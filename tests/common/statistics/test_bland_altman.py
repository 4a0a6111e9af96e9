import numpy as np
import pytest
from scipy import stats

from common.metrics.intervals import Interval
from common.statistics.bland_altman import agreement, agreement_of_ratios


def values(interval: Interval) -> tuple[float | None, float | None, float | None]:
    return interval.estimate, interval.low, interval.high


def test_hand_computed() -> None:
    found = agreement([2, 4, 6, 8, 10], [1, 2, 3, 4, 5])  # differences 1 to 5: s = 1.581139, t(4) = 2.776445
    assert values(found.bias) == pytest.approx((3, 3 - 1.963243, 3 + 1.963243), abs=1e-5)
    half = 2.776445 * 1.581139 * (1 / 5 + 1.96**2 / 8) ** 0.5
    assert values(found.lower) == pytest.approx((-0.099032, -0.099032 - half, -0.099032 + half), abs=1e-5)
    assert found.upper.estimate == pytest.approx(6.099032, abs=1e-5)


def test_bias_interval_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 1, 20), rng.normal(4.5, 1, 20)
    expected = stats.ttest_rel(x, y).confidence_interval()
    assert values(agreement(x.tolist(), y.tolist()).bias)[1:] == pytest.approx((expected.low, expected.high))


def test_ratios_say_percent_whatever_the_size() -> None:
    truth = np.array([20.0, 200.0, 2000.0, 20000.0])
    found = agreement_of_ratios((1.1 * truth).tolist(), truth.tolist())
    assert values(found.bias) == pytest.approx((1.1, 1.1, 1.1))
    assert values(found.upper) == pytest.approx((1.1, 1.1, 1.1))
    swapped = agreement_of_ratios([10, 40, 5], [20, 30, 8])
    back = agreement_of_ratios([20, 30, 8], [10, 40, 5])
    assert swapped.lower.estimate == pytest.approx(1 / (back.upper.estimate or 0))


def test_missed_lesions_are_left_out_and_counted() -> None:
    found = agreement_of_ratios([0, 10, 20, 0], [5, 10, 10, 0])
    assert (found.left_out, found.bias.units) == (2, 2)
    assert found.bias.estimate == pytest.approx(2**0.5)
    with pytest.raises(ValueError, match="below 0"):
        agreement_of_ratios([-1], [1])


def test_too_few_pairs_have_no_limits() -> None:
    assert values(agreement([], []).bias) == (None, None, None)
    one = agreement([3], [1])
    assert (one.bias.estimate, one.lower.estimate) == (2, None)
    assert one.to_dict()["bias"] == {"estimate": 2.0, "low": None, "high": None, "units": 1}
