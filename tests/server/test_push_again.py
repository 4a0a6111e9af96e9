"""A piece whose first answer was lost, against Flower's own store."""

import hashlib
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
from flwr.app import Array
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.corestate.sql_corestate import SqlCoreState
from flwr.supercore.object_store.sql_object_store import SqlObjectStore

from server.push_again import METHOD, also_again

pytestmark = pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")  # Flower's migrations


def test_a_piece_that_lies_there_is_taken_again_and_no_other(tmp_path: Path) -> None:
    store = SqlObjectStore(str(tmp_path / "state.db"))
    store.initialize()
    content = Array("uint8", (4,), "raw", b"abcd").deflate()
    name = hashlib.sha256(content).hexdigest()
    store.preregister(7, ObjectTree(object_id=name))
    state = SimpleNamespace(object_store=store)
    refuses = also_again(lambda *pushed: False)  # as Flower does what it does not wait for
    assert not refuses(state, 7, "session", name, content)
    assert not refuses(state, 7, "session", name, b"")
    store.put(name, content)
    assert refuses(state, 7, "session", name, content)
    assert not refuses(state, 7, "session", name, content + b"x")
    assert not refuses(state, 7, "session", "0" * 64, content)


def test_what_flower_stores_is_not_looked_up() -> None:
    assert also_again(lambda *pushed: True)(None, 7, "session", "0" * 64, b"abcd")


def test_the_method_and_its_arguments_are_still_the_same() -> None:
    expected = ["self", "run_id", "session_id", "object_id", "object_content"]
    assert list(inspect.signature(getattr(SqlCoreState, METHOD)).parameters) == expected
