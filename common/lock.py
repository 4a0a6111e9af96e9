"""One command at a time in a folder."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from common.durable import storage_errors
from common.errors import EnrollmentError

LOCK_FILE = ".lock"
_POLL_S = 0.05


@contextmanager
def exclusive(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the folder for this process; the lock ends with the process, however it ends.

    Args:
        folder: which holds the lock's file.
        wait_s: how long another command may take to end its work first.

    Raises:
        EnrollmentError: another command is at work in it.
    """
    with storage_errors(folder):
        lock = (folder / LOCK_FILE).open("w")
    with lock:
        end_s = time.monotonic() + wait_s
        while not _taken(lock, fcntl.LOCK_EX):
            if time.monotonic() >= end_s:
                raise EnrollmentError(f"{folder}: another fedmets command is at work here; wait for it")
            time.sleep(_POLL_S)
        yield


def is_held(folder: Path) -> bool:
    """Whether a command holds the folder now; two may ask at once without taking each other for that command."""
    try:
        lock = (folder / LOCK_FILE).open()
    except FileNotFoundError:
        return False
    with lock:
        return not _taken(lock, fcntl.LOCK_SH)


def _taken(lock: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
