"""A piece of an answer that is sent twice is taken twice.

When SuperLink is killed, or a line breaks, between the moment that it has stored a piece and the one at which its
answer arrives, the SuperNode sends the piece again. Flower then says that it was not stored, because it no longer
waits for it, and the SuperNode gives the whole answer up: a site's round is lost for an answer of a few bytes. A
piece has its content's sha256 for a name, so that one which lies there already, byte for byte, is stored.

Flower offers no place for it: the one method below is wrapped, and tests/server/test_push_again.py fails when its
name or arguments move.
"""

from collections.abc import Callable
from typing import Any

from flwr.supercore.corestate.sql_corestate import SqlCoreState

METHOD = "store_object"
Store = Callable[[Any, int, str, str, bytes], bool]


def take_again() -> None:
    """Have this process's SuperLink do so."""
    setattr(SqlCoreState, METHOD, also_again(getattr(SqlCoreState, METHOD)))


def also_again(store: Store) -> Store:
    """Flower's way of storing a piece, which also says yes to one that is there already."""

    def stored(state: Any, run_id: int, session_id: str, object_id: str, object_content: bytes) -> bool:
        if store(state, run_id, session_id, object_id, object_content):
            return True
        return bool(object_content) and state.object_store.get(object_id) == object_content

    return stored
