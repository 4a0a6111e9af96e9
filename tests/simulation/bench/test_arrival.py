import json
import time
from pathlib import Path

import pytest

from common.plan import ModelSpec
from simulation.bench import arrival
from simulation.bench.idle_site import TIMES_FILE
from simulation.bench.relay import ArrivalRelay
from simulation.bench.warm_site import MARKS_FILE


class HeardRelay(ArrivalRelay):
    """Through which nothing goes but what it is told of."""

    def hear(self, at: float, size: int, direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("simulation.bench.relay.time.time", lambda: at)
        self._note(direction, size)


def test_a_step_is_counted_from_the_last_large_piece_before_its_task_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task at second 100 whose last piece came 0.5 s before, and one without a step."""
    to_wall_s = time.time() - time.monotonic()
    steps = [50.0, 100.75, 101.5]  # one while getting ready; two of the task
    (tmp_path / MARKS_FILE).write_text("".join(f"{at - to_wall_s}\n" for at in steps))
    tasks = [
        {"taken_at": 10.0, "take_s": 0.1, "work_s": 1.0, "reply_s": 0.1},
        {"taken_at": 99.9, "take_s": 0.1, "work_s": 2.0, "reply_s": 0.1},
    ]
    (tmp_path / TIMES_FILE).write_text("".join(json.dumps(task) + "\n" for task in tasks))
    relay = HeardRelay(1)
    with monkeypatch.context() as patched:
        for at, size, direction in [
            (99.0, 9000, "down"),
            (99.5, 9000, "down"),
            (99.75, 200, "down"),  # a sign of life
            (99.8, 9000, "up"),
            (101.0, 9000, "down"),
        ]:
            relay.hear(at, size, direction, patched)
    with relay:
        (only,) = arrival.arrivals_of(tmp_path, relay)
    assert only.taken_s == pytest.approx(0.5, abs=1e-3)
    assert only.first_step_s == pytest.approx(1.25, abs=1e-3)
    assert "  1.250 s, at most 1.250 s" in arrival.render((only,))


def test_through_real_processes_the_worker_has_a_task_before_its_first_step() -> None:
    (only,) = arrival.run(1, ModelSpec(channels=(2, 4, 4)))
    assert 0 < only.taken_s < only.first_step_s
