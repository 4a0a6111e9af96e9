import pytest

from common.planning.spacing import target_spacing


def test_median_is_the_target_unless_an_axis_is_both_coarse_and_short() -> None:
    even, thick = (1.5, 0.8594, 0.8594), (5.0, 1.0, 1.0)
    assert target_spacing(even, (1.0, 0.8, 0.8), (100.5, 227.0, 215.0)).spacing_mm == even
    assert target_spacing(thick, (2.5, 0.9, 0.9), (80.0, 200.0, 200.0)).spacing_mm == thick
    coarse = target_spacing(thick, (2.5, 0.9, 0.9), (30.0, 200.0, 200.0))
    assert coarse.spacing_mm == (2.5, 1.0, 1.0)
    assert (coarse.coarse_axis, coarse.ratio) == (0, 5.0)


def test_three_times_is_not_coarse_yet() -> None:
    assert target_spacing((1.0, 3.0, 1.0), (1.0, 1.0, 1.0), (200.0, 20.0, 200.0)).coarse_axis is None
    assert target_spacing((1.0, 3.01, 1.0), (1.0, 1.0, 1.0), (200.0, 20.0, 200.0)).coarse_axis == 1


def test_coarse_axis_stays_coarser_than_the_others() -> None:
    found = target_spacing((1.0, 1.2, 5.0), (1.0, 1.2, 0.8), (200.0, 200.0, 30.0))
    assert found.spacing_mm == pytest.approx((1.0, 1.2, 1.20001), abs=1e-12)
