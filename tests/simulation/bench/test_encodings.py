"""Dice with each encoding, and whether a difference is more than noise."""

import json

import pytest

from common.metrics.intervals import Interval
from common.metrics.scores import CaseScores
from simulation.bench.encodings import EncodingScore, compare, render, to_json


def scores(*dice: float) -> tuple[CaseScores, ...]:
    return tuple(CaseScores(f"p{n}", f"p{n}", "north", value, (), 0, 0) for n, value in enumerate(dice))


def test_a_difference_that_every_patient_shows_is_no_noise() -> None:
    exact = scores(0.5, 0.6, 0.7, 0.8)
    worse = scores(0.4, 0.5, 0.6, 0.7)
    mixed = scores(0.52, 0.58, 0.71, 0.79)
    found = {one.encoding: one for one in compare({"float32": exact, "float16": mixed, "int8": worse}, seed=1)}
    assert found["float32"].dice.estimate == pytest.approx(0.65)
    assert found["float32"].difference is None
    assert [one.within_noise for one in found.values()] == [True, True, False]
    difference = found["int8"].difference
    assert difference is not None
    assert (difference.estimate, difference.low, difference.high) == pytest.approx((-0.1, -0.1, -0.1))
    assert found["float16"].difference is not None
    assert found["float16"].difference.estimate == pytest.approx(0.0)


def test_one_that_cannot_be_told_is_not_called_noise() -> None:
    assert not EncodingScore("int8", Interval(0.5, None, None, 1), Interval(0.0, None, None, 1)).within_noise


def test_the_table_and_its_json_say_the_same() -> None:
    found = compare({"float32": scores(0.5, 0.7), "int8": scores(0.25, 0.45)}, seed=1)
    assert "2 test patients" in render(found)
    assert "int8     0.3500 (0.2500 to 0.4500)   minus float32 -0.2500 (-0.2500 to -0.2500): NOT" in render(found)
    rows = json.loads(to_json(found))["encodings"]
    assert [row["encoding"] for row in rows] == ["float32", "int8"]
    assert (rows[0]["minus_float32"], rows[1]["within_noise"]) == (None, False)
    assert rows[1]["minus_float32"]["estimate"] == pytest.approx(-0.25)
