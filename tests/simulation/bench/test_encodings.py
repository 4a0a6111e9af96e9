"""Dice with each encoding, and whether a difference is more than noise."""

import json
from collections.abc import Mapping

import pytest

from common.compression import Encoding
from common.metrics.scores import CaseScores
from simulation.bench.encodings import Comparison, compare, over_seeds, render, to_json


def scores(*dice: float) -> tuple[CaseScores, ...]:
    return tuple(CaseScores(f"p{n}", f"p{n}", "north", value, (), 0, 0) for n, value in enumerate(dice))


def compared(exact: tuple[CaseScores, ...], *by_seed: Mapping[Encoding, tuple[CaseScores, ...]]) -> Comparison:
    return over_seeds(
        {seed: compare({"float32": exact, **scores}, seed) for seed, scores in enumerate(by_seed, 1)}
    )


def test_a_difference_on_the_same_patients_leaves_out_how_hard_they_are() -> None:
    exact, worse = scores(0.5, 0.6, 0.7, 0.8), scores(0.4, 0.5, 0.6, 0.7)
    own, other = compare({"float32": exact, "int8": worse}, seed=1)
    assert own.dice.estimate == pytest.approx(0.65)
    assert own.difference is None
    assert other.difference is not None
    found = (other.difference.estimate, other.difference.low, other.difference.high)
    assert found == pytest.approx((-0.1, -0.1, -0.1))


def test_noise_is_told_over_seeds() -> None:
    exact = scores(0.5, 0.6)
    up, down, level = scores(0.51, 0.61), scores(0.49, 0.59), exact
    changes: list[dict[Encoding, tuple[CaseScores, ...]]] = [
        {"float16": one, "int8": down} for one in (up, down, level)
    ]
    found = compared(exact, *changes)
    interval = found.over_seeds["float16"]
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.0, -0.02484, 0.02484), abs=1e-5)
    assert (found.is_within_noise("float16"), found.is_within_noise("int8")) == (True, False)
    assert not compared(exact, {"int8": exact}).is_within_noise("int8")  # one seed tells nothing


def test_the_table_and_its_json_say_the_same() -> None:
    found = compared(scores(0.5, 0.7), {"int8": scores(0.25, 0.45)}, {"int8": scores(0.25, 0.45)})
    lines = render(found).splitlines()
    assert "seed 1  int8     0.3500 (0.2500 to 0.4500)   minus float32 -0.2500 (-0.2500 to -0.2500)" in lines
    assert lines[-1] == "int8     -0.2500 (-0.2500 to -0.2500): NOT within noise"
    told = json.loads(to_json(found))
    assert [row["encoding"] for row in told["seeds"]["2"]] == ["float32", "int8"]
    assert told["seeds"]["1"][0]["minus_float32"] is None
    assert told["over_seeds"]["int8"]["minus_float32"]["estimate"] == pytest.approx(-0.25)
    assert told["over_seeds"]["int8"]["within_noise"] is False
