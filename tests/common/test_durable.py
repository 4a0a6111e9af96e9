import errno
import os
from pathlib import Path

import pytest

from common.durable import commit_folder, storage_errors, write_durably
from common.errors import StorageError


def failing(number: int) -> object:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for data in (b"old, and longer", b"new"):
        write_durably(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EMFILE, "Too many open files: check the disk"),
    ],
)
def test_a_failed_write_leaves_the_old_file_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    path = tmp_path / "state.json"
    write_durably(path, b"old")
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(StorageError, match=f"^{tmp_path}: cannot be written: .*{advice}"):
        write_durably(path, b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    temporary = tmp_path / "new.tmp"
    (temporary / "inner").mkdir(parents=True)
    (temporary / "inner" / "file").write_bytes(b"1")
    commit_folder(temporary, tmp_path / "new")
    assert (tmp_path / "new" / "inner" / "file").read_bytes() == b"1"
    assert not temporary.exists()


def test_every_file_is_synced_before_the_rename_and_the_parent_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, final = tmp_path / "new.tmp", tmp_path / "new"
    temporary.mkdir()
    (temporary / "file").write_bytes(b"1")
    names = {path.stat().st_ino: path.name for path in (tmp_path, temporary, temporary / "file")}
    synced: list[tuple[str, bool]] = []

    def note(handle: int) -> None:
        synced.append((names[os.fstat(handle).st_ino], final.exists()))

    monkeypatch.setattr(os, "fsync", note)
    commit_folder(temporary, final)
    assert synced == [("file", False), ("new.tmp", False), (tmp_path.name, True)]


def test_a_folder_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    for name in ("new", "new.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(StorageError, match="already holds files"):
        commit_folder(tmp_path / "new.tmp", tmp_path / "new")
    assert (tmp_path / "new" / "file").read_text() == "new"
    assert not (tmp_path / "new.tmp").exists()


def test_a_short_write_of_numpy_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the disk is full"), storage_errors(tmp_path):
        raise OSError("23296 requested and 3968 written")
