import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import CheckpointCorrupt, OutputError, StorageError
from server.records import RoundState
from server.store import RunStore
from tests.server.builders import make_plan, make_weights

PLAN = make_plan()
Notes = list[tuple[str, int | None, str]]


def open_store(folder: Path, notes: Notes | None = None) -> RunStore:
    kept: Notes = [] if notes is None else notes
    return RunStore(folder, lambda event, round_id, text: kept.append((event, round_id, text)))


def state_of(round_id: int, begun: RoundState) -> RoundState:
    weights = make_weights((float(round_id), 0.5))
    record = begun.record.model_copy(
        update={"round": round_id, "model_sha256": weights.sha256(), "advanced": True}
    )
    return RoundState(weights, {"momentum": np.full(2, round_id, np.float64)}, record)


def fill(store: RunStore, rounds: int) -> None:
    begun = store.begin(PLAN, make_weights((0.0, 0.5)))
    for round_id in range(1, rounds + 1):
        store.commit(state_of(round_id, begun))


def latest(store: RunStore) -> RoundState:
    state = store.latest(PLAN)
    assert state is not None
    return state


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    assert open_store(tmp_path).latest(PLAN) is None
    fill(open_store(tmp_path), 2)
    state = latest(open_store(tmp_path))
    assert (state.round_id, state.weights.vector.tolist()) == (2, [2.0, 0.5])
    assert state.record.model_sha256 == state.weights.sha256()
    assert {name: array.tolist() for name, array in state.optimizer.items()} == {"momentum": [2.0, 2.0]}


def test_weights_of_the_newest_three_are_kept_and_every_record(tmp_path: Path) -> None:
    fill(open_store(tmp_path), 5)
    kept = [path.parent.name for path in sorted(tmp_path.glob("*/model.safetensors"))]
    assert kept == ["round-0003", "round-0004", "round-0005"]
    assert [record.round for record in open_store(tmp_path).history()] == [1, 2, 3, 4, 5]
    assert len(open_store(tmp_path).verify()) == 5


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", [flip_a_byte, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_newest_commit_is_said_set_aside_and_run_again(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    fill(open_store(tmp_path), 4)
    damage(tmp_path / "round-0004" / name)
    notes: Notes = []
    store = open_store(tmp_path, notes)
    with pytest.raises(CheckpointCorrupt, match="round-0004"):
        store.verify()
    state = latest(store)
    assert state.round_id == 3
    ((event, round_id, text),) = notes
    assert (event, round_id) == ("commit-corrupt", 4)
    assert "going on from round 3; the damaged commit is now corrupt-round-0004" in text
    store.commit(state_of(4, state))
    assert latest(store).round_id == 4
    assert [record.round for record in store.verify()] == [1, 2, 3, 4]


def test_the_same_round_may_be_damaged_twice(tmp_path: Path) -> None:
    fill(open_store(tmp_path), 1)
    for _ in range(2):
        flip_a_byte(tmp_path / "round-0001" / "model.safetensors")
        state = latest(open_store(tmp_path))
        assert state.round_id == 0
        open_store(tmp_path).commit(state_of(1, state))
    assert latest(open_store(tmp_path)).round_id == 1


def test_a_run_without_a_whole_commit_is_refused_and_left_alone(tmp_path: Path) -> None:
    fill(open_store(tmp_path), 4)
    for path in tmp_path.glob("*/model.safetensors"):
        flip_a_byte(path)
    with pytest.raises(CheckpointCorrupt, match=r"none of its 5 commits is whole .*round-0004.*empty folder"):
        open_store(tmp_path).latest(PLAN)
    assert len(list(tmp_path.glob("round-*"))) == 5


def test_files_of_another_round_are_noticed(tmp_path: Path) -> None:
    fill(open_store(tmp_path), 2)
    shutil.rmtree(tmp_path / "round-0002")
    shutil.copytree(tmp_path / "round-0001", tmp_path / "round-0002")
    assert latest(open_store(tmp_path)).round_id == 1
    assert (tmp_path / "corrupt-round-0002").is_dir()


def test_a_commit_whose_record_tells_of_another_model_is_corrupt(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    begun = store.begin(PLAN, make_weights())
    store.commit(replace(state_of(1, begun), weights=make_weights((9.0, 9.0))))
    assert latest(store).round_id == 0


def test_a_gap_in_the_history_is_noticed(tmp_path: Path) -> None:
    fill(open_store(tmp_path), 4)
    shutil.rmtree(tmp_path / "round-0002")
    with pytest.raises(CheckpointCorrupt, match="round-0002: this round's commit is missing"):
        open_store(tmp_path).history()


def test_half_written_folders_are_removed_and_this_is_said(tmp_path: Path) -> None:
    fill(open_store(tmp_path), 1)
    (tmp_path / "round-0002.tmp").mkdir()
    (tmp_path / "round-0002.tmp" / "model.safetensors").write_bytes(b"half")
    notes: Notes = []
    assert latest(open_store(tmp_path, notes)).round_id == 1
    assert [event for event, _, _ in notes] == ["leftover-removed"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_folder_of_another_plan_is_refused_naming_both(tmp_path: Path) -> None:
    fill(open_store(tmp_path), 1)
    other = make_plan(rounds=9)
    with pytest.raises(OutputError) as refused:
        open_store(tmp_path).latest(other)
    assert PLAN.fingerprint()[:12] in str(refused.value)
    assert other.fingerprint()[:12] in str(refused.value)


@pytest.mark.parametrize("function", ["write_bytes", "mkdir"])
def test_a_full_disk_is_one_line_and_leaves_the_commit_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    store = open_store(tmp_path)
    begun = store.begin(PLAN, make_weights())

    def full(path: Path, *arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, function, full)
        with pytest.raises(StorageError, match=r"cannot be written: the disk is full: free some space"):
            store.commit(state_of(1, begun))
    assert [path.name for path in tmp_path.iterdir()] == ["round-0000"]
    store.commit(state_of(1, latest(store)))
    assert latest(store).round_id == 1


def test_a_failing_sync_is_a_failed_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    begun = store.begin(PLAN, make_weights())

    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError, match="reports an error"):
        store.commit(state_of(1, begun))
    assert [path.name for path in tmp_path.iterdir()] == ["round-0000"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("a small tmpfs cannot be mounted here (it needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=10)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = open_store(small_disk)
    begun = store.begin(PLAN, make_weights())
    large = make_weights(np.zeros(100_000).tolist())
    record = begun.record.model_copy(update={"round": 1, "model_sha256": large.sha256()})
    with pytest.raises(StorageError, match="the disk is full"):
        store.commit(RoundState(large, {}, record))
    store.commit(state_of(1, latest(store)))
    assert [record.round for record in store.verify()] == [1]
