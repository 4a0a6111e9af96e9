from fractions import Fraction
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from flwr.common import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from hypothesis import given, settings
from hypothesis import strategies as st

from common.weights import Vector
from server.aggregation import mean as module
from server.aggregation.mean import MAX_UPDATES, MAX_WEIGHT, WeightedMean

Terms = list[tuple[list[float], int]]
values = st.floats(-500, 500, width=32)
terms = st.lists(st.tuples(st.lists(values, min_size=3, max_size=3), st.integers(1, 1000)), min_size=1, max_size=9)


def mean_of(updates: list[tuple[Vector, int]], threads: int = 2) -> Vector:
    mean = WeightedMean(updates[0][0].size, threads)
    for update, weight in updates:
        mean.add(update, weight)
    return mean.mean()


def as_updates(drawn: Terms) -> list[tuple[Vector, int]]:
    return [(np.array(update, np.float32), weight) for update, weight in drawn]


@given(terms, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_every_order_gives_the_same_bits(drawn: Terms, random: Random) -> None:
    updates = as_updates(drawn)
    shuffled = updates.copy()
    random.shuffle(shuffled)
    assert mean_of(updates).tobytes() == mean_of(shuffled).tobytes()


@given(terms)
@settings(deadline=None, max_examples=100)
def test_within_2_to_the_minus_33_of_the_exact_mean_before_rounding_to_float32(drawn: Terms) -> None:
    updates = as_updates(drawn)
    got = mean_of(updates)
    total = sum(weight for _, weight in updates)
    for index in range(3):
        exact = sum((Fraction(float(update[index])) * weight for update, weight in updates), Fraction(0)) / total
        half_ulp = Fraction(float(np.spacing(np.float32(abs(float(exact)))))) / 2
        assert abs(Fraction(float(got[index])) - exact) <= Fraction(1, 2**33) + half_ulp * Fraction(1001, 1000)


def test_agrees_with_flower() -> None:
    rng = np.random.default_rng(3)
    updates = [(rng.standard_normal(5000, dtype=np.float32), int(w)) for w in (3, 40, 170, 1)]
    records = [
        RecordDict({"a": ArrayRecord({"w": Array(update)}), "m": MetricRecord({"n": weight})})
        for update, weight in updates
    ]
    theirs: npt.NDArray[np.float64] = aggregate_arrayrecords(records, "n")["w"].numpy()
    assert np.abs(mean_of(updates) - theirs).max() < 1e-6


def test_number_of_threads_and_chunks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    updates = [(rng.standard_normal(1003, dtype=np.float32), weight) for weight in (7, 2, 9)]
    whole = mean_of(updates, threads=1)
    monkeypatch.setattr(module, "_CHUNK", 64)
    assert {mean_of(updates, threads).tobytes() for threads in (1, 2, 5)} == {whole.tobytes()}


def test_terms_are_rounded_half_to_even() -> None:
    halves = np.array([1, 3, 5, -1, -3], np.float32) * np.float32(2.0**-33)
    assert (mean_of([(halves, 1)]) * 2.0**32).tolist() == [0, 2, 2, 0, -2]


def test_as_many_of_the_largest_terms_as_allowed_do_not_overflow() -> None:
    largest = np.nextafter(np.float32(2.0**19), np.float32(0))
    update = np.array([largest, -largest], np.float32)
    mean = WeightedMean(2)
    for _ in range(MAX_UPDATES):
        mean.add(update, 1)
    assert mean.mean().tolist() == update.tolist()
    with pytest.raises(OverflowError, match="already holds 4095"):
        mean.add(update, 1)


@pytest.mark.parametrize(
    ("value", "weight"), [(2.0**19, 1), (-1.0, 2**19), (np.nan, 1), (np.inf, 1), (-np.inf, 3)]
)
def test_a_term_out_of_range_is_refused_and_leaves_no_trace(value: float, weight: int) -> None:
    mean = WeightedMean(3)
    mean.add(np.ones(3, np.float32), 2)
    with pytest.raises(OverflowError, match="range of the fixed point"):
        mean.add(np.array([0, value, 0], np.float32), weight)
    assert (mean.updates, mean.mean().tolist()) == (1, [1, 1, 1])
    mean.add(np.full(3, 4, np.float32), 1)
    assert mean.mean().tolist() == [2, 2, 2]


@pytest.mark.parametrize("weight", [0, -1, MAX_WEIGHT + 1])
def test_weights_outside_their_range_are_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="weight must be 1 to"):
        WeightedMean(1).add(np.zeros(1, np.float32), weight)


def test_other_shapes_types_and_the_mean_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(2,\) float32"):
        WeightedMean(2).add(np.zeros(3, np.float32), 1)
    with pytest.raises(ValueError, match="float64"):
        WeightedMean(2).add(np.zeros(2, np.float64), 1)
    with pytest.raises(ValueError, match="mean of no updates"):
        WeightedMean(2).mean()
    with pytest.raises(ValueError, match="at least one parameter"):
        WeightedMean(0)
