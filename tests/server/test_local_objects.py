"""What the ServerApp reads beside SuperLink, against Flower's own store and grid."""

import hashlib
import importlib
import inspect
import threading
from pathlib import Path

import pytest
from flwr.app import Array
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.object_store.sql_object_store import SqlObjectStore

from server.local_objects import GRID, MAKER, awaited, disk_first, read_from_disk

RUN = 7
pytestmark = pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")  # Flower's migrations


@pytest.fixture
def store(tmp_path: Path) -> SqlObjectStore:
    store = SqlObjectStore(str(tmp_path / "state.db"))
    store.initialize()
    return store


def piece(value: int) -> tuple[str, bytes]:
    """An array of Flower's as it travels, and its name."""
    content = Array("uint8", (4,), "raw", bytes([value] * 4)).deflate()
    return hashlib.sha256(content).hexdigest(), content


def test_what_flowers_store_was_given_is_read_bit_for_bit(store: SqlObjectStore, tmp_path: Path) -> None:
    name, content = piece(3)
    store.preregister(RUN, ObjectTree(object_id=name))
    store.put(name, content)
    assert awaited(tmp_path / "state.db", name) == content


def test_a_piece_on_its_way_is_waited_for(store: SqlObjectStore, tmp_path: Path) -> None:
    name, content = piece(4)
    store.preregister(RUN, ObjectTree(object_id=name))
    assert awaited(tmp_path / "state.db", name, wait_s=0.0) is None
    upload = threading.Timer(0.3, store.put, (name, content))
    upload.start()
    assert awaited(tmp_path / "state.db", name, wait_s=30.0) == content
    upload.join()


def test_superlink_is_asked_for_what_is_not_there(store: SqlObjectStore, tmp_path: Path) -> None:
    def make(asked_of: str) -> object:
        return lambda name: f"{asked_of} {name[:4]}".encode()

    pull = disk_first(make, tmp_path / "state.db")(asked_of="superlink")  # type: ignore[arg-type]
    assert pull("0" * 64) == b"superlink 0000"
    assert disk_first(make, tmp_path / "none.db")(asked_of="superlink")("1" * 64) == b"superlink 1111"  # type: ignore[arg-type]
    assert not (tmp_path / "none.db").exists()


def test_from_then_on_flowers_grid_does_not_ask_superlink(
    store: SqlObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = importlib.import_module(GRID)
    monkeypatch.setattr(grid, MAKER, getattr(grid, MAKER))  # put back at the end
    read_from_disk(tmp_path / "state.db")
    name, content = piece(5)
    store.preregister(RUN, ObjectTree(object_id=name))
    store.put(name, content)
    pull = getattr(grid, MAKER)(pull_object_protobuf=None, node=None, run_id=RUN)
    assert pull(name) == content


def test_the_name_in_flowers_grid_and_its_arguments_are_still_the_same() -> None:
    grid = importlib.import_module(GRID)
    assert list(inspect.signature(getattr(grid, MAKER)).parameters) == ["pull_object_protobuf", "node", "run_id"]
    used = inspect.getsource(grid.HttpGrid.pull_messages)
    assert f"{MAKER}(\n" in used and "pull_object_protobuf=" in used
