"""Keys that follow one another, one numbered folder a generation: 0001, 0002, ..."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.durable import commit_folder, storage_errors


def generations(folder: Path) -> list[Path]:
    """The generations so far, the newest last."""
    return sorted(path for path in folder.glob("[0-9]" * 4) if path.is_dir())


@contextmanager
def next_generation(folder: Path) -> Iterator[Path]:
    """Fill the folder that is yielded, for its owner alone; after the block it is the next generation, whole.

    An exception in the block leaves no trace, and a crash a hidden folder that the next call removes.

    Raises:
        StorageError: disk full, no rights, and the like.
    """
    with storage_errors(folder):
        for left_by_a_crash in folder.glob(".new-*"):
            shutil.rmtree(left_by_a_crash)
        building = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        yield building
        before = generations(folder)
        commit_folder(building, folder / f"{int(before[-1].name) + 1 if before else 1:04d}")
    finally:
        shutil.rmtree(building, ignore_errors=True)  # gone already when it was committed
