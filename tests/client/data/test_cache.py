"""The cache: the same case once, memory-mapped, whatever happens to its files or beside it."""

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from client.data import cache
from client.data.cache import cache_key, ensure_prepared, open_prepared
from client.data.case import Case, LabelRule, Metadata, PreparedCase
from client.data.preprocessing import Recipe, prepare
from client.data.volume import header_spacing_mm
from common.errors import CaseReason, CaseRejected, StorageError
from common.plan import PreprocessingSpec
from tests.client.data.heads import SPACING_MM, write_case

SPEC = PreprocessingSpec(spacing_mm=SPACING_MM)
RECIPE = Recipe(("t1c", "flair"), SPEC, LabelRule({1: 1}))
RACER = """
import sys
from pathlib import Path
from client.data.cache import ensure_prepared, open_prepared
from client.data.case import LabelRule
from client.data.preprocessing import Recipe
from common.plan import PreprocessingSpec
from tests.client.data.heads import write_case
case, folder = write_case(Path(sys.argv[1])), Path(sys.argv[2])
recipe = Recipe(("t1c", "flair"), PreprocessingSpec(spacing_mm=(1.5, 1.5, 1.5)), LabelRule({1: 1}))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    found = open_prepared(folder, ensure_prepared(case, recipe, folder))
print(found.image.tobytes().hex()[:64], found.image.shape)
"""


def key_of(case: Case) -> str:
    return cache_key(case, RECIPE)


def cached(case: Case, folder: Path, recipe: Recipe = RECIPE) -> PreparedCase:
    return open_prepared(folder, ensure_prepared(case, recipe, folder))


def test_what_comes_back_is_what_was_prepared(tmp_path: Path) -> None:
    known = Metadata(age_years=61.0, sex="F", primary_cancer="Lung", field_strength_t=1.5)
    case = dataclasses.replace(write_case(tmp_path / "p1", "LPS"), metadata=known)
    fresh, found = prepare(case, RECIPE), cached(case, tmp_path / "cache")
    assert not found.image.flags.owndata and not found.image.flags.writeable
    for name in ("image", "label", "mask", "reference", "lesion_voxels"):
        assert np.array_equal(getattr(found, name), getattr(fresh, name))
    assert np.array_equal(found.grid.affine, fresh.grid.affine)
    assert (found.native.shape, found.patient, found.metadata) == (fresh.native.shape, "p1", known)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [key_of(case)]


def test_mapped_cases_keep_no_file_open(tmp_path: Path) -> None:
    """A dataset of 461 exams must open in a process that may have 1024 files."""
    case = write_case(tmp_path / "p1")
    cached(case, tmp_path / "cache")
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    held = [open_prepared(tmp_path / "cache", key_of(case)) for _ in range(8)]
    assert len(list(open_files.iterdir())) == before and len(held) == 8


def test_entry_that_holds_objects_is_not_unpickled(tmp_path: Path) -> None:
    case, folder = write_case(tmp_path / "p1"), tmp_path / "cache"
    cached(case, folder)
    (path,) = folder.glob("*/mask.npy")
    size = path.stat().st_size
    np.save(path, np.array([print, None], dtype=object), allow_pickle=True)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    with pytest.raises(StorageError, match="prepare the case again"):
        open_prepared(folder, key_of(case))


@pytest.mark.parametrize(("name", "reason"), [("t1c", "missing-sequence"), ("label", "missing-label")])
def test_named_pipe_is_not_waited_for(name: str, reason: str, tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    path = case.label if name == "label" else case.sequences[name]
    assert path is not None
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CaseRejected) as caught:
        cached(case, tmp_path / "cache")
    assert caught.value.reason == reason and header_spacing_mm(path) is None


def test_second_call_does_not_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = write_case(tmp_path / "p1")
    cached(case, tmp_path / "cache")
    monkeypatch.setattr(cache, "prepare", None)
    assert cached(case, tmp_path / "cache").image.shape[0] == 2


def test_inference_entry_has_no_label(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    found = cached(case, tmp_path / "cache", dataclasses.replace(RECIPE, rule=None))
    assert found.label is None and found.reference is None and found.lesion_voxels.shape == (0, 3)


def test_key_follows_content_and_not_place(tmp_path: Path) -> None:
    case = write_case(tmp_path / "a" / "p1")
    assert key_of(write_case(tmp_path / "b" / "p1")) == key_of(case)
    recipes = [
        RECIPE,
        dataclasses.replace(RECIPE, sequences=("flair", "t1c")),
        dataclasses.replace(RECIPE, spec=PreprocessingSpec()),
        dataclasses.replace(RECIPE, rule=None),
        dataclasses.replace(RECIPE, rule=LabelRule({1: 1}, frozenset({2}))),
        dataclasses.replace(RECIPE, mask_command=("strip",)),
    ]
    others = {cache_key(case, recipe) for recipe in recipes}
    others |= {key_of(dataclasses.replace(case, patient="p2")), key_of(write_case(tmp_path / "c" / "p1", "LPS"))}
    assert len(others) == 8


@pytest.mark.parametrize("name", ["image.npy", "entry.json", "label.npy"])
@pytest.mark.parametrize("damage", ["cut", "gone", "empty"])
def test_damaged_entry_is_made_anew(name: str, damage: str, tmp_path: Path) -> None:
    case, folder = write_case(tmp_path / "p1"), tmp_path / "cache"
    expected = cached(case, folder).image.tobytes()
    path = folder / key_of(case) / name
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: -7 if damage == "cut" else 0])
    with pytest.raises(StorageError, match="prepare the case again"):
        open_prepared(folder, key_of(case))
    assert cached(case, folder).image.tobytes() == expected
    assert [entry.name for entry in folder.iterdir()] == [key_of(case)]


def test_a_rejected_case_leaves_nothing(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    case.sequences["flair"].unlink()
    with pytest.raises(CaseRejected) as caught:
        cached(case, tmp_path / "cache")
    assert caught.value.reason is CaseReason.MISSING_SEQUENCE
    assert not (tmp_path / "cache").exists()


def test_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = write_case(tmp_path / "p1")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match="disk is full"):
        cached(case, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path / name / "p1"), str(tmp_path / "cache")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for name in ("a", "b")
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = {racer.communicate(timeout=60)[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0, 0]
    assert len(outputs) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_slower_of_two_takes_the_entry_of_the_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, folder = write_case(tmp_path / "p1"), tmp_path / "cache"

    def overtaken(case: Case, recipe: Recipe) -> PreparedCase:
        monkeypatch.setattr(cache, "prepare", prepare)
        inner = cached(case, folder)
        assert inner.image.shape[0] == 2
        return prepare(case, recipe)

    monkeypatch.setattr(cache, "prepare", overtaken)
    assert cached(case, folder).patient == "p1"
    assert [entry.name for entry in folder.iterdir()] == [key_of(case)]
