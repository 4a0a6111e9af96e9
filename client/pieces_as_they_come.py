"""The worker gets each piece of a task as it arrives, not all of them once the last one has.

Flower's SuperNode offers a task first, fetches all of its content, and then puts it where the worker can take it:
the whole model crosses the loopback, is unpacked and checked after its last byte has come over the line. Put there
piece by piece, it crosses while the line is still busy, and what remains afterwards is the last piece.

Flower offers no place for it: the one function below is wrapped, and tests/client/test_pieces_as_they_come.py
fails when its name, its arguments or what it does with them move.
"""

import importlib
from collections.abc import Callable
from typing import Any

MODULE = "flwr.supernode.start_client_internal"
RECEIVE = "_pull_and_store_message"
Pull = Callable[[int, str], bytes]


def hand_on_pieces() -> None:
    """Have this process's SuperNode do so."""
    module = importlib.import_module(MODULE)
    setattr(module, RECEIVE, piece_by_piece(getattr(module, RECEIVE)))


def piece_by_piece(receive: Callable[..., int | None]) -> Callable[..., int | None]:
    """Flower's way of receiving a message, with every piece stored as soon as it was pulled."""

    def received(*, object_store: Any, pull_object: Pull, **others: Any) -> int | None:
        stored = _Stored(object_store, pull_object)
        return receive(object_store=stored, pull_object=stored.pull, **others)

    return received


class _Stored:
    """Flower's object store for one message, which remembers what it was given early.

    The worker may have taken a piece, and let go of the message, before Flower comes to store it.
    """

    def __init__(self, store: Any, pull: Pull) -> None:
        self._store, self._pull = store, pull
        self._early: set[str] = set()

    def pull(self, run_id: int, object_id: str) -> bytes:
        """Pull a piece and store it, checked as ever against its name."""
        content = self._pull(run_id, object_id)
        self._store.put(object_id, content)
        self._early.add(object_id)
        return content

    def put(self, object_id: str, object_content: bytes) -> None:
        if object_id not in self._early:
            self._store.put(object_id, object_content)

    def preregister(self, run_id: int, object_tree: Any) -> list[str]:
        return list(self._store.preregister(run_id, object_tree))

    def delete(self, object_id: str) -> None:
        self._store.delete(object_id)
