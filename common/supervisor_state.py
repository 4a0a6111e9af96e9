"""What a supervisor has on disk about its programs: for `status`, and for whoever comes after a crash."""

import signal
import time
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from common.errors import FedmetsError
from common.processes import boot_id, in_sessions, process_info, send, with_variable
from common.schema import Frozen

MARK = "FEDMETS_SUPERVISED"  # the variable
STATE_FILE = "supervisor.json"
_LEAVE_S = 3.0
_KILL_WITHIN_S = 5.0


class ProcessRecord(Frozen):
    """A process that can be told from every other one of this boot, also from a later one of the same number."""

    pid: int
    started_ticks: int

    def is_alive(self) -> bool:
        """Whether it is still there; meaningless after a reboot."""
        info = process_info(self.pid)
        return info is not None and info.started_ticks == self.started_ticks and not info.is_zombie


def record_of(pid: int) -> ProcessRecord | None:
    """The process of this number; None when there is none, or no /proc to tell."""
    info = process_info(pid)
    return None if info is None else ProcessRecord(pid=pid, started_ticks=info.started_ticks)


class ProgramRecord(Frozen):
    """One program.

    Attributes:
        state: waiting means that it ended and will be started again.
        process: the program itself; None while it does not run, or has only just been started.
        guardian: leads the session that holds all of the program's processes.
        since: when it came into this state.
        restarts: how often it was started again since the supervisor began.
        last_code: how it ended last; 128 + N after signal N.
    """

    name: str
    state: Literal["running", "waiting"]
    process: ProcessRecord | None
    guardian: ProcessRecord | None
    since: AwareDatetime
    restarts: int
    last_code: int | None


class SupervisorRecord(Frozen):
    """A supervisor and its programs, in the order in which they were started.

    Attributes:
        mark: begins a variable in the environment of every process of this supervisor's life.
        boot: of the machine; process numbers mean nothing after another one.
    """

    schema_version: Literal[1] = 1
    mark: str
    boot: str
    supervisor: ProcessRecord
    programs: tuple[ProgramRecord, ...]

    def is_current(self) -> bool:
        """Whether the supervisor still runs, so that the rest is true."""
        return self.boot == boot_id() and self.supervisor.is_alive()

    def program(self, name: str) -> ProgramRecord | None:
        """The program of that name."""
        return next((program for program in self.programs if program.name == name), None)


def read_state(folder: Path) -> SupervisorRecord | None:
    """What a folder's supervisor wrote last; None when there never was one or the file is damaged."""
    try:
        return SupervisorRecord.from_json((folder / STATE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def end_leftovers(left: SupervisorRecord) -> int:
    """Kill what a supervisor that is gone left running; returns how many processes that was.

    Its guardians are at it already and get three seconds. A process counts as left over when its session is led
    by a recorded guardian, or holds a recorded program, of the recorded start time; or when it carries the mark.

    Raises:
        FedmetsError: some cannot be killed.
    """
    if left.boot != boot_id():
        return 0
    begin_s = time.monotonic()
    killed: set[int] = set()
    while pids := _left_by(left):
        waited_s = time.monotonic() - begin_s
        if waited_s > _LEAVE_S + _KILL_WITHIN_S:
            raise FedmetsError(
                f"processes {sorted(pids)} of an earlier supervisor cannot be killed; restart the machine"
            )
        if waited_s > _LEAVE_S:
            send(pids, signal.SIGKILL)
            killed |= pids
        time.sleep(0.05)
    return len(killed)


def _left_by(left: SupervisorRecord) -> set[int]:
    sessions = [
        program.guardian.pid
        for program in left.programs
        if program.guardian is not None
        and any(process.is_alive() for process in (program.guardian, program.process) if process is not None)
    ]
    return {*in_sessions(sessions), *with_variable(MARK, left.mark)}
