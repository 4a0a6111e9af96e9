"""Keeping programs running: started, restarted with back-off, ended whole, and never left behind.

    with stop_signals() as stops, Supervisor(folder, say, clock) as supervisor:
        supervisor.start(program)
        while not stops.wait(0.2):
            supervisor.poll()

Leaving the block ends the programs, last started first. If the supervisor itself is killed, each program's
guardian ends it at once; whatever should be left even so is ended by the folder's next supervisor.
"""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from common.durable import storage_errors, write_durably
from common.errors import EnrollmentError, FedmetsError, OutputError, StorageError
from common.launching import Program, bound_log, launch
from common.lock import exclusive
from common.processes import boot_id
from common.supervisor_state import (
    STATE_FILE,
    ProcessRecord,
    ProgramRecord,
    SupervisorRecord,
    end_leftovers,
    read_state,
    record_of,
)

_LOGS_EVERY_S = 60.0


class EventKind(StrEnum):
    """What happened to a program."""

    STARTED = "started"
    RESTARTED = "restarted"
    ENDED = "ended"
    NOT_STARTED = "not started"
    STOPPED = "stopped"
    LEFT_OVER = "left over"
    NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class ProgramEvent:
    """One line for whoever watches."""

    kind: EventKind
    program: str
    detail: str

    def __str__(self) -> str:
        return f"{self.program} {self.kind}" + (f": {self.detail}" if self.detail else "")


class Process(Protocol):
    """What a supervisor asks of a started program; `common.launching.Launched` is one."""

    def poll(self) -> int | None:
        """The exit code once it has ended."""

    def stop(self, grace_s: float) -> int | None:
        """End all of it."""

    def records(self) -> tuple[ProcessRecord | None, ProcessRecord | None]:
        """The program's own process, once it is known, and its guardian's."""


@dataclass(slots=True)
class _Slot:
    """A program and what became of it."""

    program: Program
    since: datetime
    process: Process | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    ends_in_a_row: int = 0
    restarts: int = 0
    last_code: int | None = None


class Supervisor:
    """Keeps programs running for as long as its block lasts; one supervisor a folder.

    Args:
        folder: holds the lock and supervisor.json; made when it is not there.
        say: told of every start, end and restart.
        clock: dates in supervisor.json.
        monotonic_s: measures how long programs ran and wait.
        launch: starts one.

    Raises:
        OutputError: on entering: the folder's supervisor is at work.
        FedmetsError: on entering: what an earlier one left behind cannot be killed.
        StorageError: on entering: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[ProgramEvent], None],
        clock: Callable[[], datetime],
        monotonic_s: Callable[[], float] = time.monotonic,
        launch: Callable[[Program, str], Process] = launch,
    ) -> None:
        self._folder = folder
        self._say = say
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._launch = launch
        self._mark = secrets.token_hex(16)
        self._slots: dict[str, _Slot] = {}
        self._written: SupervisorRecord | None = None
        self._logs_due_s = monotonic_s() + _LOGS_EVERY_S
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with storage_errors(self._folder.parent):
            self._folder.mkdir(parents=True, exist_ok=True)
        before = read_state(self._folder)
        try:
            self._held.enter_context(exclusive(self._folder))
        except EnrollmentError:
            who = f" (process {before.supervisor.pid})" if before is not None else ""
            raise OutputError(f"{self._folder}: its programs run already{who}; stop that first") from None
        try:
            if before is not None and (killed := end_leftovers(before)):
                detail = f"killed {killed} processes that an earlier supervisor left behind"
                self._tell(EventKind.LEFT_OVER, "programs", detail)
            self._record()
        except FedmetsError:
            self._held.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            self.stop_all()

    def start(self, program: Program) -> None:
        """Start a program and keep it running from now on.

        Raises:
            UserError: its executable or user is not there.
            StorageError: its log cannot be written.
        """
        if program.name in self._slots:
            raise ValueError(f"a program named '{program.name}' is supervised already")
        slot = _Slot(program, self._clock())
        self._begin(slot)
        self._slots[program.name] = slot
        self._record()

    def replace(self, program: Program) -> None:
        """End the program of this name and start this one in its place, at once; raises as `start` does."""
        slot = self._slots[program.name]
        self._end(slot)
        slot.program, slot.ends_in_a_row = program, 0
        self._restart(slot)
        self._record()

    def poll(self) -> None:
        """Notice what ended, start again what has waited long enough; call it several times a second."""
        for slot in self._slots.values():
            if slot.process is not None:
                code = slot.process.poll()
                if code is not None:
                    self._ended(slot, code)
            elif self._monotonic_s() >= slot.due_s:
                self._restart(slot)
        if self._monotonic_s() >= self._logs_due_s:
            self._logs_due_s = self._monotonic_s() + _LOGS_EVERY_S
            self._bound_logs()
        self._record()

    def stop_all(self) -> None:
        """End every program, last started first, each with its grace; nothing is started again."""
        for slot in reversed(list(self._slots.values())):
            self._end(slot)
        self._slots.clear()
        self._record()

    def programs(self) -> Sequence[ProgramRecord]:
        """How it stands with each, in the order of their start."""
        return [_record_of(slot) for slot in self._slots.values()]

    def _begin(self, slot: _Slot) -> None:
        slot.process = self._launch(slot.program, self._mark)
        slot.started_s, slot.since = self._monotonic_s(), self._clock()
        self._tell(EventKind.RESTARTED if slot.restarts else EventKind.STARTED, slot.program.name)

    def _restart(self, slot: _Slot) -> None:
        slot.restarts += 1
        try:
            self._begin(slot)
        except (FedmetsError, OSError) as error:  # OSError: no memory, or too many processes
            slot.ends_in_a_row += 1
            delay_s = self._wait_for(slot)
            self._tell(EventKind.NOT_STARTED, slot.program.name, f"{error}; next try in {delay_s:.0f} s")

    def _ended(self, slot: _Slot, code: int) -> None:
        ran_s = self._monotonic_s() - slot.started_s
        steady = ran_s >= slot.program.backoff.steady_s
        slot.ends_in_a_row = 1 if steady else slot.ends_in_a_row + 1
        slot.process, slot.last_code, slot.since = None, code, self._clock()
        delay_s = self._wait_for(slot)
        detail = f"code {code} after {ran_s:.0f} s, starts again in {delay_s:.0f} s; its log is {slot.program.log}"
        self._tell(EventKind.ENDED, slot.program.name, detail)

    def _wait_for(self, slot: _Slot) -> float:
        delay_s = slot.program.backoff.delay_s(slot.ends_in_a_row)
        slot.due_s = self._monotonic_s() + delay_s
        return delay_s

    def _end(self, slot: _Slot) -> None:
        if slot.process is not None:
            slot.last_code = slot.process.stop(slot.program.grace_s)
            how = "cannot be killed" if slot.last_code is None else f"code {slot.last_code}"
            self._tell(EventKind.STOPPED, slot.program.name, how)
        slot.process, slot.since, slot.due_s = None, self._clock(), self._monotonic_s()

    def _bound_logs(self) -> None:
        for slot in self._slots.values():
            try:
                bound_log(slot.program.log)
            except StorageError as error:
                self._tell(EventKind.NOT_RECORDED, slot.program.name, str(error))

    def _record(self) -> None:
        """Bring supervisor.json up to date. A full disk must not end the programs: it is said, and tried again."""
        record = SupervisorRecord(
            mark=self._mark,
            boot=boot_id(),
            supervisor=record_of(os.getpid()) or ProcessRecord(pid=os.getpid(), started_ticks=0),
            programs=tuple(self.programs()),
        )
        if record == self._written:
            return
        try:
            write_durably(self._folder / STATE_FILE, f"{record.to_json()}\n".encode())
            self._written = record
        except StorageError as error:
            if not self._slots:
                raise
            self._tell(EventKind.NOT_RECORDED, "supervisor", str(error))

    def _tell(self, kind: EventKind, program: str, detail: str = "") -> None:
        self._say(ProgramEvent(kind, program, detail))


def _record_of(slot: _Slot) -> ProgramRecord:
    process, guardian = slot.process.records() if slot.process is not None else (None, None)
    return ProgramRecord(
        name=slot.program.name,
        state="waiting" if slot.process is None else "running",
        process=process,
        guardian=guardian,
        since=slot.since,
        restarts=slot.restarts,
        last_code=slot.last_code,
    )
