"""A program of a supervisor: how it is described, and how it is started and ended under its guardian."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from common.durable import storage_errors
from common.errors import UserError
from common.processes import in_sessions, send, with_variable
from common.supervisor_state import MARK, ProcessRecord, record_of

LARGEST_LOG_BYTES = 20_000_000
_KILL_WITHIN_S = 7.0  # a guardian takes 5 at most


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a program that ended waits before it is started again.

    Attributes:
        first_s: after the first end.
        factor: each further end in a row waits this many times longer.
        longest_s: but never longer.
        steady_s: a program that ran this long has no earlier ends to its name.
    """

    first_s: float = 1.0
    factor: float = 2.0
    longest_s: float = 300.0
    steady_s: float = 120.0

    def delay_s(self, ends: int) -> float:
        """The wait after so many ends in a row: 1, 2, 4, 8, ... 300 s by default."""
        return float(min(self.first_s * self.factor ** min(ends - 1, 64), self.longest_s))


@dataclass(frozen=True, slots=True)
class Program:
    """What to keep running.

    Attributes:
        name: unique within a supervisor.
        argv: the executable's absolute path and its arguments.
        environment: all of it.
        log: takes its output; over 20 MB it becomes LOG.1 and a new one begins.
        user: whom to run it as, for a supervisor that runs as root; None leaves it as it is.
        grace_s: how long it may take to end after SIGTERM.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    user: str | None = None
    backoff: Backoff = Backoff()
    grace_s: float = 10.0


@dataclass(slots=True)
class Launched:
    """A program under its guardian."""

    guardian: subprocess.Popen[bytes]
    lifeline: socket.socket
    mark: str
    leader: ProcessRecord | None
    process: ProcessRecord | None = None

    def poll(self) -> int | None:
        """The exit code once all of it has ended, 128 + N after signal N; None while it runs."""
        self._hear()
        if self.guardian.returncode is None:
            ended = os.waitid(os.P_PID, self.guardian.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return None
            # Not yet waited for, so its number, and with it the session's, cannot be another's. There is
            # something left to kill only if the guardian was killed itself.
            left = {*in_sessions([self.guardian.pid]), *with_variable(MARK, self.mark)}
            send(left - {self.guardian.pid}, signal.SIGKILL)
            self.guardian.wait(_KILL_WITHIN_S)
            self.lifeline.close()
        code = self.guardian.returncode
        return code if code >= 0 else 128 - code

    def stop(self, grace_s: float) -> int | None:
        """SIGTERM to the group, SIGKILL to all of it after `grace_s`; the code, None if even that did not help."""
        if self.poll() is None:
            send([self.guardian.pid], signal.SIGTERM)
            if self._wait(grace_s + 1.0) is None:
                self.kill()
        return self.poll()

    def kill(self) -> None:
        """SIGKILL to all of it, waiting some seconds for the end."""
        if self.poll() is None:
            self.lifeline.shutdown(socket.SHUT_WR)
            if self._wait(_KILL_WITHIN_S) is None:
                send(in_sessions([self.guardian.pid]), signal.SIGKILL)
                self._wait(_KILL_WITHIN_S)

    def records(self) -> tuple[ProcessRecord | None, ProcessRecord | None]:
        """The program's own process, once the guardian has said its number, and the guardian's."""
        return self.process, self.leader

    def _wait(self, seconds: float) -> int | None:
        end_s = time.monotonic() + seconds
        while (code := self.poll()) is None and time.monotonic() < end_s:
            time.sleep(0.02)
        return code

    def _hear(self) -> None:
        """Take down the program's number when the guardian has said it."""
        if self.process is not None or self.guardian.returncode is not None:
            return
        try:
            said = self.lifeline.recv(64)
        except BlockingIOError:
            return
        self.process = record_of(int(said)) if said.strip().isdigit() else None


def launch(program: Program, mark: str) -> Launched:
    """Start a program in a session of its own.

    Args:
        program: which.
        mark: of the supervisor. FEDMETS_SUPERVISED=MARK.NAME. in the environment tells the whole family.

    Raises:
        UserError: no such executable or user, or no right to become that user.
        StorageError: the log cannot be written.
    """
    if not os.access(program.argv[0], os.X_OK):
        raise UserError(f"{program.name}: no executable {program.argv[0]}; install fedmets again")
    user = _user_to_become(program)
    bound_log(program.log)
    own_mark = f"{mark}.{program.name}."
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    number = theirs.fileno()
    guardian_argv = [sys.executable, "-P", "-m", "common.guardian", str(number), str(program.grace_s), user]
    with ExitStack() as on_failure, theirs, storage_errors(program.log.parent):
        on_failure.callback(ours.close)
        log = os.open(program.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            guardian = subprocess.Popen(
                [*guardian_argv, *program.argv],
                env={**program.environment, MARK: own_mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(number,),
            )
        finally:
            os.close(log)
        on_failure.pop_all()
    return Launched(guardian, ours, own_mark, record_of(guardian.pid))


def bound_log(log: Path) -> None:
    """Move a log that has grown over 20 MB to LOG.1, in the place of an earlier one; raises StorageError.

    Copied and then emptied, since the program goes on writing into the open file; lines that it writes in that
    moment are lost.
    """
    with storage_errors(log.parent):
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LARGEST_LOG_BYTES:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)


def _user_to_become(program: Program) -> str:
    """The user to change to, empty to stay who we are; raises UserError when that cannot be."""
    if program.user is None:
        return ""
    try:
        entry = pwd.getpwnam(program.user)
    except KeyError:
        raise UserError(f"{program.name}: no user '{program.user}' here; create it") from None
    if entry.pw_uid == os.geteuid():
        return ""
    if os.geteuid() != 0:
        raise UserError(f"{program.name}: only root can run it as user '{program.user}'; start as root")
    return program.user
