"""The released model: a folder that can be handed on, checked file by file, and used without anything else.

model.safetensors  the weights
plan.json          the plan they were trained under; its `sequences` are the input channels, in order
metrics.json       scores on held-out patients, and the lines of the card
CARD.md            the model card, for people; the same lines
manifest.json      sha256 and size of the first three files, and the round
signature.json     only of a model that a federation released: the aggregator's word for all of the above
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from common.audit import JSON
from common.durable import commit_folder, storage_errors, write_durably
from common.errors import CheckpointCorrupt, ModelRefused, OutputError
from common.plan import Plan
from common.schema import Frozen
from common.weights import Weights, from_safetensors, to_safetensors

MANIFEST = "manifest.json"
_WEIGHTS, _PLAN, _METRICS = "model.safetensors", "plan.json", "metrics.json"
_FILES = (_WEIGHTS, _PLAN, _METRICS)
SIGNATURE = "signature.json"
CARD = "CARD.md"
_CARD_LINES = "card"  # in metrics.json, so that what vouches for that file vouches for the card
_GET_A_FRESH_COPY = "do not use this model; get a fresh copy of the folder"


class FileRecord(Frozen):
    """What the manifest says of one file."""

    sha256: str
    size_bytes: int


class Manifest(Frozen):
    """The folder's table of contents; `model_sha256` is the sha256 of model.safetensors too."""

    schema_version: Literal[1] = 1
    name: str
    round_id: int
    model_sha256: str
    parameters: int
    files: dict[str, FileRecord]
    notice: str = "Research software, not a medical device."


@dataclass(frozen=True, slots=True)
class Release:
    """A released model whose every file matched its manifest.

    Attributes:
        plan: what it was trained under.
        weights: of the network that the plan describes.
        metrics: as written at release.
        sha256: identity of the model; the same digest stands in the run's result and audit log.
        round_id: the round after which it was released.
    """

    plan: Plan
    weights: Weights
    metrics: Mapping[str, JSON]
    sha256: str
    round_id: int


def write_release(
    folder: Path,
    plan: Plan,
    weights: Weights,
    metrics: Mapping[str, JSON],
    round_id: int,
    card: str | None = None,
) -> str:
    """Write a model folder, whole or not at all, in place of an older one; returns the model's sha256.

    `card` is Markdown that ends with a line's end; without it the folder has no card.

    Raises:
        OutputError: `folder` exists and is not a released model.
        StorageError: the disk is full or cannot be written.
    """
    if card is not None:
        metrics = {**metrics, _CARD_LINES: card.removesuffix("\n").split("\n")}
    contents = {
        _WEIGHTS: to_safetensors(weights),
        _PLAN: _pretty(plan.model_dump(mode="json")),
        _METRICS: _pretty(metrics),
    }
    files = {name: FileRecord(sha256=_digest(data), size_bytes=len(data)) for name, data in contents.items()}
    manifest = Manifest(
        name=plan.name,
        round_id=round_id,
        model_sha256=files[_WEIGHTS].sha256,
        parameters=weights.vector.size,
        files=files,
    )
    contents[MANIFEST] = _pretty(manifest.model_dump(mode="json"))
    if card is not None:
        contents[CARD] = card.encode()
    _replace_folder(folder, contents)
    return manifest.model_sha256


def card_in(metrics: bytes) -> bytes | None:
    """The text of CARD.md as the bytes of metrics.json hold it; None where they hold none.

    Raises:
        ModelRefused: metrics.json is not an object, or its card is not a list of lines.
    """
    try:
        values = json.loads(metrics)
        lines = values.get(_CARD_LINES)
        return None if lines is None else "".join(f"{_line(line)}\n" for line in lines).encode()
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelRefused(f"{_METRICS}: cannot be read ({error}); {_GET_A_FRESH_COPY}") from None


def read_files(folder: Path) -> dict[str, bytes]:
    """The bytes of a released model's four files by name, as they lie there; raises ModelRefused."""
    return {name: _read(folder / name) for name in (MANIFEST, *_FILES)}


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Put a model folder with these files in place of an older one, whole or not at all.

    Raises:
        OutputError: `folder` exists and is not a released model.
        StorageError: the disk is full or cannot be written.
    """
    _replace_folder(folder, contents)


def open_release(folder: Path) -> Release:
    """Read a model folder, checking the size and sha256 of every file before anything in it is used.

    Raises:
        ModelRefused: a file is missing, extra or changed, or was written for another version; one line that
            names the file and, for a changed one, both hashes.
    """
    manifest = _read_manifest(folder)
    contents = _read_verified(folder, manifest)
    try:
        weights = from_safetensors(contents[_WEIGHTS], folder / _WEIGHTS)
    except CheckpointCorrupt as error:
        raise ModelRefused(f"{error}; {_GET_A_FRESH_COPY}") from None
    try:
        plan = Plan.from_json(contents[_PLAN])
    except ValidationError as error:
        raise ModelRefused(_other_version(folder / _PLAN, error)) from None
    return Release(plan, weights, json.loads(contents[_METRICS]), manifest.model_sha256, manifest.round_id)


def _replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write next to the target, then swap by renames; a crash leaves the old folder or the new one.

    Between the two renames the old one lies under its aside name, whence the next call brings it back.
    """
    fresh, aside = (folder.with_name(f".{folder.name}.{kind}") for kind in ("new", "old"))
    with storage_errors(folder.parent):
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        _refuse_foreign(folder)
        for leftover in (fresh, aside):
            if leftover.exists():
                shutil.rmtree(leftover)
        fresh.mkdir(parents=True)
        for name, data in contents.items():
            write_durably(fresh / name, data)  # a full disk shows here, while the old folder still stands
        if folder.exists():
            folder.rename(aside)
        commit_folder(fresh, folder)
        if aside.exists():
            shutil.rmtree(aside)


def _refuse_foreign(folder: Path) -> None:
    """Only a released model, or an empty folder, may be replaced."""
    if folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir())):
        return
    if folder.exists():
        raise OutputError(f"{folder}: exists and is not a released model; move it away or choose another folder")


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ModelRefused(f"{folder}: no such model folder; give the folder that holds {MANIFEST}")
    if not path.is_file():
        inside = folder / "model" / MANIFEST
        advice = f"did you mean {inside.parent}?" if inside.is_file() else f"give the folder that holds {MANIFEST}"
        raise ModelRefused(f"{folder}: not a released model, it has no {MANIFEST}; {advice}")
    try:
        manifest = Manifest.from_json(_read(path))
    except ValidationError as error:
        raise ModelRefused(_other_version(path, error)) from None
    if set(manifest.files) != set(_FILES):
        raise ModelRefused(
            f"{path}: lists {', '.join(sorted(manifest.files))} where {', '.join(_FILES)} are due; "
            f"{_GET_A_FRESH_COPY}"
        )
    if manifest.files[_WEIGHTS].sha256 != manifest.model_sha256:
        raise ModelRefused(
            f"{path}: names model sha256 {_short(manifest.model_sha256)} but lists {_WEIGHTS} with "
            f"{_short(manifest.files[_WEIGHTS].sha256)}, which should be one; {_GET_A_FRESH_COPY}"
        )
    return manifest


def _read_verified(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Every listed file's bytes, read once, so that what was hashed is what is used."""
    extra = sorted({entry.name for entry in folder.iterdir()} - {MANIFEST, SIGNATURE, CARD, *_FILES})
    if extra:
        raise ModelRefused(_foreign(folder, extra))
    contents = {}
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ModelRefused(f"{path}: missing from the released model; {_GET_A_FRESH_COPY}")
        data = _read(path)
        if _digest(data) != expected.sha256 or len(data) != expected.size_bytes:
            raise ModelRefused(
                f"{path}: changed since its release: {MANIFEST} says sha256 {_short(expected.sha256)} and "
                f"{expected.size_bytes} bytes, the file has {_short(_digest(data))} and {len(data)} bytes; "
                f"{_GET_A_FRESH_COPY}"
            )
        contents[name] = data
    _check_card(folder, contents[_METRICS])
    return contents


def _check_card(folder: Path, metrics: bytes) -> None:
    """The card is the one that metrics.json holds, which the manifest vouches for; no card, no file."""
    path, card = folder / CARD, card_in(metrics)
    if card is None:
        if path.exists():
            raise ModelRefused(_foreign(folder, [CARD]))
    elif not path.is_file():
        raise ModelRefused(f"{path}: missing from the released model; {_GET_A_FRESH_COPY}")
    elif _read(path) != card:
        raise ModelRefused(
            f"{path}: changed since its release: {_METRICS} holds another card; {_GET_A_FRESH_COPY}"
        )


def _foreign(folder: Path, names: Sequence[str]) -> str:
    return (
        f"{folder / names[0]}: not part of the released model ({len(names)} such); move it out of the folder, "
        "or get a fresh copy if you did not put it there"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path}: cannot read it ({error.strerror}); mend the permissions") from None


def _other_version(path: Path, error: ValidationError) -> str:
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"]) or "top level"
    return (
        f"{path}: does not fit this version of fedmets ('{place}': {fault['msg']}); use the version that released "
        "the model, or get a fresh copy"
    )


def _pretty(value: JSON) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _line(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"'{_CARD_LINES}' holds {value!r}, not a line of text")
    return value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _short(sha256: str) -> str:
    return f"{sha256[:12]}…"
