import json
from pathlib import Path

import pytest

from simulation.timing import Stopwatch


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_no_part_claims_is_other(tmp_path: Path) -> None:
    clock = Clock()
    with Stopwatch(tmp_path / "seconds.json", clock) as stopwatch:
        with stopwatch.part("prepare"):
            clock.now_s += 10.0
        stopwatch.add("train", 60.0)
        clock.now_s += 62.0
    expected = {"prepare": 10.0, "train": 60.0, "evaluate": 0.0, "aggregate": 0.0, "other": 2.0, "total": 72.0}
    assert stopwatch.totals() == expected
    assert json.loads((tmp_path / "seconds.json").read_bytes()) == expected


def test_a_second_invocation_goes_on_from_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        clock = Clock()
        with Stopwatch(tmp_path / "seconds.json", clock) as stopwatch, stopwatch.part("evaluate"):
            clock.now_s += 5.0
    assert stopwatch.totals()["evaluate"] == stopwatch.totals()["total"] == 10.0


def test_a_part_under_way_counts_and_an_error_does_not_lose_it(tmp_path: Path) -> None:
    clock = Clock()
    stopwatch = Stopwatch(tmp_path / "seconds.json", clock)
    with pytest.raises(KeyboardInterrupt), stopwatch, stopwatch.part("train"):
        clock.now_s += 7.0
        assert stopwatch.totals() == {**dict.fromkeys(stopwatch.totals(), 0.0), "train": 7.0, "total": 7.0}
        raise KeyboardInterrupt
    assert Stopwatch(tmp_path / "seconds.json", clock).totals()["train"] == 7.0


def test_it_saves_every_ten_seconds(tmp_path: Path) -> None:
    clock = Clock()
    stopwatch = Stopwatch(tmp_path / "seconds.json", clock)
    clock.now_s += 9.9
    stopwatch.save_now_and_then()
    assert not (tmp_path / "seconds.json").exists()
    clock.now_s += 0.1
    stopwatch.save_now_and_then()
    assert json.loads((tmp_path / "seconds.json").read_bytes())["total"] == pytest.approx(10.0)


@pytest.mark.parametrize("content", ["", "[]", '{"prepare": 1.0}', '{"prepare": "x"}'])
def test_a_damaged_file_begins_at_zero(content: str, tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text(content)
    assert Stopwatch(tmp_path / "seconds.json", Clock()).totals()["total"] == 0.0
