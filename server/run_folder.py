"""A run of a plan on the consortium's disk: DIR/runs/PLAN_ID, with its rounds, its audit log and how it stands."""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime

from common.documents import read_document
from common.durable import storage_errors, write_durably
from common.lock import is_held
from common.schema import Frozen
from server.provisioning import ServerFolder
from server.records import RunStatus

STATE_FILE = "state.json"
RESERVE_FILE = "reserve"
START_WITHIN = timedelta(seconds=180)  # SuperExec takes 10 to 20 s, on a machine that has nothing else to do
_RESERVE_BYTES = 65_536


class RunFault(StrEnum):
    """What ended a run's process, where it was no error of ours, which says so itself."""

    TRANSPORT = "transport-error"
    ENDED_BY_FLOWER = "ended-by-flower"
    PROGRAM = "program-error"


class RunProgress(Frozen):
    """How far a run is, as its own process last wrote, or before that the command that began it.

    Attributes:
        phase: handed to Flower, proposing the plan, training, or ended for good.
        round_id: the last committed round.
        standings: what each site said of the plan.
        status: how it ended; None before.
        reason: in words, where something stands in its way.
        fault: its kind, where the reason is not an error of ours.
        began_at, changed_at: by the aggregator's clock.
        process_id: of the process at work.
        flower_run: Flower's own number of the run; 0 until Flower has told it.
    """

    phase: Literal["starting", "proposing", "training", "ended"]
    round_id: int = 0
    rounds: int
    standings: dict[str, str] = {}
    status: RunStatus | None = None
    reason: str = ""
    fault: RunFault | None = None
    began_at: AwareDatetime
    changed_at: AwareDatetime
    process_id: int = 0
    flower_run: int = 0

    def is_starting(self, now: datetime) -> bool:
        """Whether Flower has the run and may begin it yet; after 180 s it may not any more."""
        return self.phase == "starting" and now - self.changed_at <= START_WITHIN

    def lets_begin(self, flower_run: int, now: datetime) -> bool:
        """Whether a process that Flower has started may work on the run.

        What Flower was handed stays there through a stop, a crash and a second start, and may come to life later:
        the run is then another process's, or nobody's. The number is 0 where the command that began the run died
        before Flower had answered it: what it handed over is what was asked for.
        """
        if self.phase == "ended" or (self.phase == "starting" and not self.is_starting(now)):
            return False
        return self.flower_run in (0, flower_run)


def starting(before: RunProgress | None, rounds: int, now: datetime) -> RunProgress:
    """The state of a run that is begun, or begun again after `before`."""
    return RunProgress(
        phase="starting",
        rounds=rounds,
        round_id=before.round_id if before else 0,
        standings=before.standings if before else {},
        began_at=before.began_at if before else now,
        changed_at=now,
    )


class RunFolder:
    """DIR/runs/PLAN_ID."""

    def __init__(self, folder: ServerFolder, plan_id: str) -> None:
        self.plan_id = plan_id
        self.path: Path = folder.path / "runs" / plan_id

    def make(self) -> None:
        """Create it, with a reserve of room for last words; raises StorageError."""
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_durably(self.path / RESERVE_FILE, bytes(_RESERVE_BYTES))

    def write(self, progress: RunProgress, now: datetime) -> RunProgress:
        """Put how the run stands on disk; raises StorageError."""
        written = progress.model_copy(update={"changed_at": now})
        write_durably(self.path / STATE_FILE, f"{written.to_json()}\n".encode())
        return written

    def write_last_words(self, progress: RunProgress, now: datetime) -> RunProgress:
        """As `write`, for a run that cannot go on: a disk without a byte left must not keep the reason silent."""
        with storage_errors(self.path):
            (self.path / RESERVE_FILE).unlink(missing_ok=True)
        return self.write(progress, now)

    def progress(self) -> RunProgress | None:
        """How the run stands; None when it never began."""
        path = self.path / STATE_FILE
        return read_document(RunProgress, path, "the state of a run") if path.exists() else None

    def at_work(self) -> bool:
        """Whether a process works on the run now: it holds the folder's lock, which ends with it."""
        return is_held(self.path)
