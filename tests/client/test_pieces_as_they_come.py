"""A SuperNode's way of receiving a message, Flower's own, with its own store."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.message import make_message
from flwr.app.metadata import Metadata
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore

from client.pieces_as_they_come import MODULE, RECEIVE, hand_on_pieces, piece_by_piece

RUN = 7
flower: Callable[..., int | None] = getattr(importlib.import_module(MODULE), RECEIVE)


@pytest.fixture
def message() -> Message:
    array = Array(np.arange(16, dtype=np.float32))
    metadata = Metadata(RUN, "", 1, 2, "", "", 0.0, 60.0, "train")
    message = make_message(metadata, content=RecordDict({"weights": ArrayRecord({"all": array})}))
    message.metadata.__dict__["_message_id"] = message.object_id  # as it arrives
    return message


def receive(message: Message, store: InMemoryObjectStore, pull: Callable[[int, str], bytes], how: Any) -> Mock:
    """Have a SuperNode receive the message; its state, which was told of what happened."""
    state = Mock()
    how(
        state=state,
        object_store=store,
        node_config={},
        receive=lambda: (message, get_object_tree(message)),
        get_run=Mock(),
        get_fab=Mock(),
        pull_object=pull,
        confirm_message_received=Mock(),
        trusted_entities=None,
    )
    return state


@pytest.mark.parametrize(("how", "early"), [(piece_by_piece(flower), True), (flower, False)])
def test_a_piece_is_there_for_the_worker_before_the_next_one_is_pulled(
    message: Message, how: object, early: bool
) -> None:
    store, seen = InMemoryObjectStore(), []
    contents = {name: each.deflate() for name, each in get_all_nested_objects(message).items()}

    def pull(run_id: int, name: str) -> bytes:
        seen.append(sum(bool(store.get(each)) for each in contents))
        return contents[name]

    state = receive(message, store, pull, how)
    assert all(store.get(name) == content for name, content in contents.items())
    assert (max(seen) > 0) is early and len(seen) == len(contents) > 3
    state.finish_task.assert_not_called()


class QuickWorker(InMemoryObjectStore):
    """A store from which a worker takes everything, and lets go, as soon as the last piece is there."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self._pieces, self.let_go = pieces, False

    def put(self, object_id: str, object_content: bytes) -> None:
        super().put(object_id, object_content)
        self._pieces -= 1
        if not self._pieces:
            self.store.clear()
            self.let_go = True


def test_a_worker_that_took_everything_and_let_go_is_no_error(message: Message) -> None:
    contents = {name: each.deflate() for name, each in get_all_nested_objects(message).items()}
    store = QuickWorker(len(contents))
    state = receive(message, store, lambda run_id, name: contents[name], piece_by_piece(flower))
    assert store.let_go
    state.finish_task.assert_not_called()


def test_a_piece_that_is_not_what_it_is_named_is_not_handed_on(message: Message) -> None:
    store = InMemoryObjectStore()
    state = receive(message, store, lambda run_id, name: b"x", piece_by_piece(flower))
    state.finish_task.assert_called_once()
    assert store.get(message.object_id) is None


def test_flower_still_has_what_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(MODULE)
    assert {"object_store", "pull_object"} <= set(inspect.signature(flower).parameters)
    monkeypatch.setattr(module, RECEIVE, flower)
    hand_on_pieces()
    assert getattr(module, RECEIVE) is not flower
    assert "_pull_and_store_message(" in inspect.getsource(module.start_client_internal)
