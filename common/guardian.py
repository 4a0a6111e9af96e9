"""The small process between a supervisor and a program: as long as it lives, nothing of the program outlives it.

Run as `python -P -m common.guardian LIFELINE_FD GRACE_S USER PROGRAM [ARGUMENT ...]`, leader of a session of its
own; an empty USER leaves the program with ours. LIFELINE_FD is one end of a socket, the supervisor has the other.
On it the guardian says the program's number; when the other end closes, because the supervisor wants it so or was
killed, everything is killed at once.

    the program ends        whatever it left behind is killed; the guardian ends with the program's code
    SIGTERM to the guardian SIGTERM to all of it, GRACE_S seconds for all of it to end, then SIGKILL
    the lifeline closes     SIGKILL to everything
    the guardian is killed  the kernel kills the program (Linux)

The guardian adopts the orphans among the program's descendants (Linux), so a process that left the session is
found as well. Standard library alone: it is started often and should cost little.
"""

import contextlib
import ctypes
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

from common.processes import descendants, in_sessions, send

CANNOT_START = 127
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_S = 1.0  # signals and the lifeline wake us at once; this is for what tells nobody
_KILL_WITHIN_S = 5.0


def main(argv: Sequence[str]) -> int:
    """Guard one program until it and all of its descendants are gone; returns the exit code for the supervisor."""
    lifeline, grace_s, user, command = int(argv[0]), float(argv[1]), argv[2], list(argv[3:])
    os.set_inheritable(lifeline, False)
    stops: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stops.append(number))
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, _ignore)  # a handler and not SIG_IGN, which the program would inherit
    waker, woken = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    try:
        program = _start(command, user)
    except OSError as error:
        print(f"{command[0]}: cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        return CANNOT_START
    with contextlib.suppress(OSError):  # the supervisor is gone: noticed below
        os.write(lifeline, f"{program.pid}\n".encode())
    code = _watch(program.pid, lifeline, woken.fileno(), grace_s, stops)
    _kill_rest()
    return code


def _start(command: list[str], user: str) -> "subprocess.Popen[bytes]":
    """Start the program; raises OSError. What is returned must be kept: dropped, it would wait for the program."""
    prctl, own_pid = _prctl(), os.getpid()
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    entry = pwd.getpwnam(user) if user else None
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        user=entry.pw_uid if entry else None,
        group=entry.pw_gid if entry else None,
        extra_groups=os.getgrouplist(user, entry.pw_gid) if entry else None,
        preexec_fn=lambda: _tie(prctl, own_pid),  # noqa: PLW1509 (safe: this process has one thread)
    )


def _watch(program: int, lifeline: int, woken: int, grace_s: float, stops: list[int]) -> int:
    """Wait for the program's end, or for the time to make an end; the program's code, 128 + N after signal N."""
    code: int | None = None
    deadline_s: float | None = None
    while True:
        ended, has_children = _reap()
        code = ended.get(program, code)
        if stops and deadline_s is None:
            _ask_all_to_end()
            deadline_s = time.monotonic() + grace_s
        if code is not None and (deadline_s is None or not has_children):
            return code
        left_s = _LOOK_EVERY_S if deadline_s is None else min(_LOOK_EVERY_S, deadline_s - time.monotonic())
        if left_s <= 0 or _is_closed(lifeline, woken, left_s):
            return 128 + signal.SIGKILL if code is None else code


def _ask_all_to_end() -> None:
    """SIGTERM to the group, which includes us, and to those who left it."""
    signal.signal(signal.SIGTERM, _ignore)
    own_pid = os.getpid()
    outside = set(descendants(own_pid)) - set(in_sessions([own_pid]))
    os.killpg(0, signal.SIGTERM)
    send(outside, signal.SIGTERM)


def _kill_rest() -> None:
    """Kill what is left of the program, again and again while it multiplies, for five seconds at most.

    Over only when there is no child to wait for: a look at the process table misses one that is just being made.
    """
    end_s = time.monotonic() + _KILL_WITHIN_S
    while _reap()[1] and time.monotonic() < end_s:
        send(descendants(os.getpid()), signal.SIGKILL)
        time.sleep(0.005)


def _reap() -> tuple[dict[int, int], bool]:
    """Wait for all children that have ended, adopted ones too: codes by number, and whether others are left."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if not pid:
            return ended, True
        ended[pid] = _exit_code(status)


def _is_closed(lifeline: int, woken: int, wait_s: float) -> bool:
    """Whether the supervisor's end is closed, after at most `wait_s`; a signal ends the wait early."""
    readable, _, _ = select.select([lifeline, woken], [], [], wait_s)
    if woken in readable:
        os.read(woken, 4096)
    try:
        return lifeline in readable and not os.read(lifeline, 1)
    except OSError:
        return True


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _prctl() -> Callable[[int, int], int]:
    """Linux's prctl; elsewhere a function that does nothing."""
    if not sys.platform.startswith("linux"):
        return lambda option, value: 0
    function = ctypes.CDLL(None).prctl
    return lambda option, value: int(function(option, value, 0, 0, 0))


def _tie(prctl: Callable[[int, int], int], guardian: int) -> None:
    """In the program's process, before it is the program: let it die with the guardian."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:  # it died in between
        os._exit(CANNOT_START)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Let a signal pass."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
