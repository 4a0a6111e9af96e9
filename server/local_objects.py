"""The pieces of the sites' answers, read where SuperLink keeps them: in its database, beside the ServerApp.

Asked for through SuperLink, as Flower's own grid does, each piece is read, packed, sent through TLS and unpacked
on one machine. Here it is one read of a file that the same user owns. SuperLink goes on to be asked for everything
else, for what this does not find, and to let go of what was read; what an answer holds is checked against its
signature as before.

Flower's grid offers no place for it: the one name below is put in the place of its own, and
tests/server/test_local_objects.py fails when that name, its arguments or the table move.
"""

import importlib
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

GRID = "flwr.superlink.grid.http_grid"
MAKER = "make_pull_object_fn_protobuf"
Pull = Callable[[str], bytes]
_ONE = "SELECT CASE is_available WHEN 1 THEN content END FROM objects WHERE object_id = ?"
_UPLOADED_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.1
_BUSY_S = 1.0


def read_from_disk(database: Path) -> None:
    """Have this process's grid look into SuperLink's database first."""
    grid = importlib.import_module(GRID)
    setattr(grid, MAKER, disk_first(getattr(grid, MAKER), database))


def disk_first(make: Callable[..., Pull], database: Path) -> Callable[..., Pull]:
    """Flower's way of making what pulls a piece, with the database asked before SuperLink is."""

    def made(**options: Any) -> Pull:
        ask = make(**options)

        def pull(object_id: str) -> bytes:
            content = awaited(database, object_id)
            return ask(object_id) if content is None else content

        return pull

    return made


def awaited(database: Path, object_id: str, wait_s: float = _UPLOADED_WITHIN_S) -> bytes | None:
    """A piece's bytes once its upload is done; None when it is unknown there or not done within `wait_s`."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", _BUSY_S, uri=True)) as connection:
            end_s = time.monotonic() + wait_s
            while (row := connection.execute(_ONE, (object_id,)).fetchone()) is not None:
                if row[0]:
                    return bytes(row[0])
                if time.monotonic() >= end_s:
                    return None
                time.sleep(_LOOK_EVERY_S)
    except sqlite3.Error:
        pass  # SuperLink is asked, and says what is wrong
    return None
