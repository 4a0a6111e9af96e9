"""A site that trains nothing: the real worker and desk, with updates at hand in the trainer's place.

`python -m simulation.bench.idle_site SITE_DIR NUMBER HOST:PORT SECRET_FILE`. Takes tasks from the SuperNode at
that address until SIGTERM, and writes down how long each took it, a line of JSON in SITE_DIR/idle.jsonl.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from client.desk import Desk, Trains
from client.runtime_api import HeldTask, TaskSource
from client.site_folder import SiteFolder
from client.worker import run_worker
from common.flower import Record
from common.keyfiles import read_private_file
from common.plan import Plan
from common.protocol import SiteAnswer, SiteUpdate, TrainReport, TrainTask
from common.stopping import stop_signals
from common.weights import Vector

TIMES_FILE = "idle.jsonl"
_SPREAD = np.float32(1e-4)  # of an update's values: as small as a round of training makes them
_EVERY = 65536  # values


class UpdatesAtHand:
    """In the place of the trainer: another update for every round, none of them alike at two sites.

    Flower stores equal content once. What it never has to send would make it look faster than it is. So every
    site has noise of its own, drawn in its first round, and in each further round a value in every quarter of a
    megabyte is new, and with it every piece that Flower carries: that takes no time.
    """

    def __init__(self, site: str, number: int) -> None:
        self._site, self._rng = site, np.random.default_rng(number)
        self._noise: Vector = np.empty(0, np.float32)

    def train(self, task: TrainTask, plan: Plan, deadline_s: float) -> SiteAnswer:
        """Answer at once."""
        size = task.weights.vector.size
        if self._noise.size != size:
            self._noise = self._rng.standard_normal(size, np.float32) * _SPREAD
        self._noise[::_EVERY] = self._rng.standard_normal(len(self._noise[::_EVERY]), np.float32) * _SPREAD
        report = TrainReport(cases=1, steps=1, loss=1.0, seconds=0.0, train_seconds=0.0, evaluate_seconds=0.0)
        delta = task.weights.with_vector(self._noise)
        return SiteUpdate(self._site, task.plan_id, task.round_id, delta, report)


@dataclass(frozen=True, slots=True)
class _TimedTask:
    held: HeldTask
    times: Path
    begun_s: float
    taken_s: float

    @property
    def record(self) -> Record:
        return self.held.record

    @property
    def bundle_sha256(self) -> str:
        return self.held.bundle_sha256

    def reply(self, record: Record, delivery_s: float = 0.0) -> None:
        answered_s = time.time()
        self.held.reply(record, delivery_s)
        line = {
            "taken_at": self.begun_s,
            "take_s": self.taken_s - self.begun_s,
            "work_s": answered_s - self.taken_s,
            "reply_s": time.time() - answered_s,
        }
        with self.times.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class _TimedTasks:
    """A task source that looks at the clock."""

    def __init__(self, source: TaskSource, times: Path) -> None:
        self._source, self._times = source, times

    def next(self) -> _TimedTask | None:
        begun_s = time.time()
        held = self._source.next()
        return None if held is None else _TimedTask(held, self._times, begun_s, time.time())


def work(site_dir: Path, address: str, secret: Path, trainer: Trains, warm: Callable[[Plan], None]) -> None:
    """Answer tasks until SIGTERM, with this trainer."""
    source = TaskSource(address, read_private_file(secret))
    desk = Desk(SiteFolder(site_dir), trainer, lambda: datetime.now(UTC))
    with stop_signals() as stops:
        run_worker(_TimedTasks(source, site_dir / TIMES_FILE), desk, stops.wait, warm)
    source.close()


def main(site_dir: Path, number: int, address: str, secret: Path) -> None:
    """Work until SIGTERM."""
    trainer = UpdatesAtHand(SiteFolder(site_dir).joined().kit().body.site, number)
    work(site_dir, address, secret, trainer, lambda plan: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
