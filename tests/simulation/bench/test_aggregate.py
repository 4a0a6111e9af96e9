import pytest

from common.errors import FedmetsError
from simulation.bench.aggregate import AggregateBench, measure, render, run


def test_peak_memory_does_not_grow_with_the_number_of_sites() -> None:
    few, many = run(sites=(2, 16), parameters=2_000_000)
    assert (few.sites, many.sites, many.parameters) == (2, 16, 2_000_000)
    # one update of 4 bytes a parameter, sums of 8, the mean of 4
    assert 16 * 2_000_000 <= few.peak_bytes <= 1.3 * 16 * 2_000_000
    assert many.peak_bytes <= 1.1 * few.peak_bytes


def test_the_table_names_what_was_measured() -> None:
    bench = AggregateBench(sites=8, parameters=1_000_000, seconds=0.5, numpy_seconds=0.25, peak_bytes=20_000_000)
    assert (bench.gb_per_s, bench.ratio) == (0.064, 0.5)
    assert render([bench]).splitlines()[-1].split() == ["8", "0.500", "0.06", "0.50", "20"]


def test_both_are_timed() -> None:
    bench = measure(sites=1, parameters=1000)
    assert bench.seconds > 0
    assert bench.numpy_seconds > 0


def test_a_failed_measurement_is_one_line() -> None:
    with pytest.raises(FedmetsError, match="bench aggregate with 1 sites of 0 parameters failed: ValueError"):
        run(sites=(1,), parameters=0)
