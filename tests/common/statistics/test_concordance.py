import math

import numpy as np
import pytest

from common.statistics.concordance import concordance


def test_hand_computed() -> None:
    assert concordance([1, 2, 3], [2, 3, 4]).estimate == pytest.approx(4 / 7)
    assert concordance([1, 2, 3, 4], [1, 2, 3, 4]).to_dict() == {
        "estimate": 1.0, "low": None, "high": None, "units": 4,
    }  # fmt: skip
    assert concordance([1, 2, 3, 4], [4, 3, 2, 1]).estimate == pytest.approx(-1.0)


def test_is_correlation_times_bias_correction() -> None:
    """Lin's own form: r C_b, C_b = 2 / (v + 1/v + u^2), v the ratio of spreads, u the scaled shift."""
    rng = np.random.default_rng(0)
    x = rng.normal(10, 3, 50)
    y = 0.8 * x + rng.normal(4, 1, 50)
    v, u = x.std() / y.std(), (x.mean() - y.mean()) / math.sqrt(x.std() * y.std())
    expected = np.corrcoef(x, y)[0, 1] * 2 / (v + 1 / v + u**2)
    found = concordance(x.tolist(), y.tolist())
    assert found.estimate == pytest.approx(expected)
    assert found.low is not None and found.high is not None
    assert found.low < expected < found.high


def test_interval_is_as_wide_as_repeats_of_the_study() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1, (4000, 60))
    studies = [concordance(t + rng.normal(0, 0.4, 60), t + rng.normal(0.3, 0.4, 60)) for t in truth]
    z = np.arctanh([s.estimate for s in studies if s.estimate is not None])
    widths = [np.arctanh(s.high) - np.arctanh(s.low) for s in studies if s.low and s.high]
    assert np.mean(widths) / (2 * 1.95996) == pytest.approx(z.std(ddof=1), rel=0.05)


def test_refuses_what_does_not_pair() -> None:
    with pytest.raises(ValueError, match="3 values against 2"):
        concordance([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"subject 1 has \(nan, 2.0\)"):
        concordance([1, math.nan], [1, 2])
    assert concordance([3, 3, 3], [3, 3, 3]).estimate is None
    assert concordance([1], [1]).estimate is None
    assert concordance([1, 2, 3], [1, 2, 4]).low is None


def test_perfect_correlation_about_one_mean_has_no_interval() -> None:
    found = concordance([8.5, 8.5, 0.0, 0.0], [3.14901324, 3.14901324, 5.35098676, 5.35098676])
    assert found.estimate == pytest.approx(-2 * 8.5 * 2.20197352 / (8.5**2 + 2.20197352**2))
    assert (found.low, found.high) == (None, None)
    assert concordance([1, 2, 3, 4], [1.75, 2.25, 2.75, 3.25]).low is None
