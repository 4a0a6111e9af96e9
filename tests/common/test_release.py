"""The released model's folder: written whole, and used only while every file is what the manifest says."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.errors import ModelRefused, OutputError, StorageError
from common.plan import Plan
from common.release import card_in, open_release, write_release
from common.weights import Weights, pack

PLAN = Plan(name="demo", seed=7, sites=("north", "south"), sequences=("t1c", "flair"))


def some_weights(seed: int = 0) -> Weights:
    generator = np.random.default_rng(seed)
    # Not in alphabetical order: the order of tensors must survive.
    return pack({"z.weight": generator.normal(size=(3, 2)), "a.bias": generator.normal(size=3)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_release(tmp_path / "model", PLAN, some_weights(), {"dice": 0.5, "cases": 4}, round_id=20)
    return tmp_path / "model"


def test_release_reads_back_what_was_written(folder: Path) -> None:
    release = open_release(folder)
    assert release.plan == PLAN
    assert release.weights.layout == some_weights().layout
    np.testing.assert_array_equal(release.weights.vector, some_weights().vector)
    assert release.metrics == {"dice": 0.5, "cases": 4}
    assert release.round_id == 20
    assert release.sha256 == some_weights().sha256()


def test_folder_can_be_checked_with_other_tools(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest["files"]) == ["metrics.json", "model.safetensors", "plan.json"]
    for name, record in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert record == {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    assert manifest["model_sha256"] == some_weights().sha256()
    assert json.loads((folder / "plan.json").read_text())["sequences"] == ["t1c", "flair"]


def test_same_release_has_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_release(tmp_path / "again", PLAN, some_weights(), {"dice": 0.5, "cases": 4}, round_id=20)
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_older_release_is_replaced_and_nothing_is_left_over(folder: Path) -> None:
    sha256 = write_release(folder, PLAN, some_weights(1), {}, round_id=21)
    assert open_release(folder).sha256 == sha256 == some_weights(1).sha256()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_crash_between_the_renames_loses_neither_release(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name(".model.new"))
    folder.rename(folder.with_name(".model.old"))
    write_release(folder, PLAN, some_weights(2), {}, round_id=22)
    assert open_release(folder).round_id == 22
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_failed_write_leaves_the_older_release(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise StorageError(f"{path}: the disk is full")

    monkeypatch.setattr("common.release.write_durably", full)
    with pytest.raises(StorageError):
        write_release(folder, PLAN, some_weights(3), {}, round_id=23)
    assert open_release(folder).round_id == 20


def test_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.docx").write_bytes(b"work of years")
    with pytest.raises(OutputError, match="model: exists and is not a released model"):
        write_release(tmp_path / "model", PLAN, some_weights(), {}, round_id=1)
    assert (tmp_path / "model" / "thesis.docx").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "plan.json", "metrics.json"])
def test_changed_byte_is_refused_with_both_hashes(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    before = hashlib.sha256(data).hexdigest()[:12]
    data[-2] ^= 1
    (folder / name).write_bytes(data)
    after = hashlib.sha256(data).hexdigest()[:12]
    with pytest.raises(ModelRefused, match=rf"{name}: changed since its release: .*{before}….*{after}…"):
        open_release(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "plan.json", "metrics.json"])
def test_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelRefused, match=f"{name}: missing from the released model"):
        open_release(folder)


def test_extra_file_is_refused_by_name(folder: Path) -> None:
    (folder / "notes.txt").write_text("patient 12")
    with pytest.raises(ModelRefused, match=r"notes\.txt: not part of the released model"):
        open_release(folder)


def test_a_manifest_that_names_another_model_than_its_file_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "model_sha256": "0" * 64}))
    with pytest.raises(ModelRefused, match=r"manifest\.json: names model sha256 0{12}… but lists"):
        open_release(folder)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "does not fit this version"),
        ('{"schema_version": 2}', "does not fit this version"),
        (None, "it has no manifest.json"),
    ],
)
def test_unusable_manifest_is_refused(folder: Path, text: str | None, match: str) -> None:
    (folder / "manifest.json").unlink()
    if text is not None:
        (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelRefused, match=match):
        open_release(folder)


def test_manifest_cannot_point_elsewhere(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = manifest["files"].pop("metrics.json")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRefused, match=r"lists \.\./secret"):
        open_release(folder)


def test_run_folder_is_told_apart_from_its_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=f"did you mean {folder}"):
        open_release(tmp_path)
    with pytest.raises(ModelRefused, match="no such model folder"):
        open_release(tmp_path / "nowhere")


def test_crash_at_the_last_rename_leaves_the_older_release_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(temporary: Path, final: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("common.release.commit_folder", die)
        with pytest.raises(KeyboardInterrupt):
            write_release(folder, PLAN, some_weights(4), {}, round_id=24)
    assert open_release(folder.with_name(".model.old")).round_id == 20
    write_release(folder, PLAN, some_weights(4), {}, round_id=24)
    assert open_release(folder).round_id == 24
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


CARD = "# Model card\n\nDice 0.500, 26\u2013275\u2028mm\u00b3\n"


def test_a_card_is_in_the_folder_and_in_the_metrics(tmp_path: Path) -> None:
    write_release(tmp_path / "model", PLAN, some_weights(), {"dice": 0.5}, round_id=20, card=CARD)
    assert (tmp_path / "model" / "CARD.md").read_text(encoding="utf-8") == CARD
    metrics = open_release(tmp_path / "model").metrics
    assert metrics["dice"] == 0.5
    assert card_in((tmp_path / "model" / "metrics.json").read_bytes()) == CARD.encode()
    assert "CARD.md" not in json.loads((tmp_path / "model" / "manifest.json").read_text())["files"]


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "CARD.md: missing"), (CARD.replace("0.500", "0.900"), "CARD.md: changed since its release")],
)
def test_another_card_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    write_release(tmp_path / "model", PLAN, some_weights(), {}, round_id=20, card=CARD)
    (tmp_path / "model" / "CARD.md").unlink()
    if text is not None:
        (tmp_path / "model" / "CARD.md").write_text(text, encoding="utf-8")
    with pytest.raises(ModelRefused, match=message):
        open_release(tmp_path / "model")


def test_a_card_beside_a_model_that_has_none_is_foreign(folder: Path) -> None:
    (folder / "CARD.md").write_text(CARD, encoding="utf-8")
    with pytest.raises(ModelRefused, match=r"CARD\.md: not part of the released model"):
        open_release(folder)


@pytest.mark.parametrize("metrics", [b"[1]", b"{", b'{"card": [1]}', b'{"card": 3}'])
def test_metrics_that_hold_no_lines_are_refused(metrics: bytes) -> None:
    with pytest.raises(ModelRefused, match=r"metrics\.json: cannot be read"):
        card_in(metrics)
