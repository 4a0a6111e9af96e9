"""Processes as /proc shows them: told apart by number and start time, found by session, by parent or by a mark.

A process number alone is never enough to kill by: numbers are used again. Where there is no /proc (outside Linux)
the functions that search find nothing.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys" / "kernel" / "random" / "boot_id"


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One line of the process table.

    Attributes:
        pid, parent, session: numbers.
        started_ticks: when it began, in clock ticks since boot; names a process for good, with `pid` and boot.
        is_zombie: ended, and not yet waited for.
    """

    pid: int
    parent: int
    session: int
    started_ticks: int
    is_zombie: bool


def process_info(pid: int) -> ProcessInfo | None:
    """What /proc says about a process; None when there is none of that number."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
    return ProcessInfo(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0] in "ZX")


def all_processes() -> Iterator[ProcessInfo]:
    """Every process there is now; those that end while we look are left out."""
    if not _PROC.is_dir():
        return
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (info := process_info(int(entry.name))) is not None:
            yield info


def boot_id() -> str:
    """What tells this boot of the machine from any other; empty where the kernel does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def in_sessions(sessions: Iterable[int]) -> list[int]:
    """The living processes of some sessions."""
    wanted = set(sessions)
    return [info.pid for info in all_processes() if info.session in wanted and not info.is_zombie]


def descendants(ancestor: int) -> list[int]:
    """The living children of a process, their children and so on, whatever session they moved to."""
    children: dict[int, list[ProcessInfo]] = {}
    for info in all_processes():
        children.setdefault(info.parent, []).append(info)
    found, unread = [], [ancestor]
    while unread:
        for child in children.pop(unread.pop(), []):
            unread.append(child.pid)
            if not child.is_zombie:
                found.append(child.pid)
    return found


def with_variable(name: str, begin: str) -> list[int]:
    """The living processes started with an environment variable that begins so, as far as we may look."""
    mark = f"{name}={begin}".encode()
    return [info.pid for info in all_processes() if not info.is_zombie and _has_entry(info.pid, mark)]


def _has_entry(pid: int, begin: bytes) -> bool:
    try:
        entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(entry.startswith(begin) for entry in entries)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal each process; those that are gone, or not ours to signal, are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
