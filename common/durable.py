"""Writing so that a crash or a full disk leaves either the old state or the new one, never a mixture.

Order matters: the content reaches the disk (fsync of the file), then the name (fsync of its folder), then the
rename that makes it visible, then the rename itself (fsync of the parent).
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from common.errors import StorageError

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up: free some space and run the same command again",
    errno.EROFS: "the disk is mounted read-only: remount it or choose another folder",
    errno.EACCES: "permission denied: make the folder writable or choose another",
    errno.EPERM: "permission denied: make the folder writable or choose another",
    errno.EIO: "the disk reports an error: check it before going on",
    errno.ENOTEMPTY: "it already holds files: choose another folder",
    errno.EEXIST: "a file of that name is in the way: move it or choose another folder",
    errno.ENOTDIR: "a file is in the way: move it or choose another folder",
}


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError that names the folder and what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(_number_of(error), f"{error.strerror or error}: check the disk and its rights")
        raise StorageError(f"{folder}: cannot be written: {advice}") from error


def _number_of(error: OSError) -> int:
    """The error's number; numpy gives a full disk none, only "23296 requested and 3968 written"."""
    if error.errno is None and " requested and " in str(error):
        return errno.ENOSPC
    return error.errno or 0


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file by new content, whole or not at all; it is on disk when this returns.

    Raises:
        StorageError: disk full, no rights, and the like; the file is then as it was before.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with storage_errors(path.parent):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def commit_folder(temporary: Path, final: Path) -> None:
    """Make a finished folder visible under its final name; every file in it is on disk when this returns.

    Raises:
        StorageError: also when `final` exists and is not empty. `temporary` is then removed, so that a full
            disk has room again.
    """
    with storage_errors(final.parent):
        try:
            for file in sorted(temporary.rglob("*")):
                sync_folder(file) if file.is_dir() else _sync_file(file)
            sync_folder(temporary)
            temporary.rename(final)
            sync_folder(final.parent)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk; raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
