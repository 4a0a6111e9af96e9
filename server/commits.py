"""One round on disk: a folder that appears whole or not at all, and vouches for its content.

round-0007/
    model.safetensors      the weights after round 7
    optimizer.safetensors  the aggregator's state
    state.json             the round's record
    manifest.json          sha256 of the three above
"""

import hashlib
import re
import shutil
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.durable import commit_folder, storage_errors
from common.errors import CheckpointCorrupt
from common.schema import Frozen
from common.weights import from_safetensors, to_safetensors
from server.records import OptimizerState, RoundRecord, RoundState

MODEL, OPTIMIZER, STATE, MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"
TEMPORARY = ".tmp"
_NAME = re.compile(r"round-(\d{4,})")


class Manifest(Frozen):
    """sha256 by file name."""

    files: dict[str, str]


def commit_name(round_id: int) -> str:
    """Folder name of a round: 7 is round-0007."""
    return f"round-{round_id:04d}"


def round_of(folder: Path) -> int | None:
    """The round that a folder is the commit of, or None for any other folder."""
    match = _NAME.fullmatch(folder.name)
    return int(match.group(1)) if match and folder.is_dir() else None


def write_commit(parent: Path, state: RoundState) -> Path:
    """Put a round on disk; it is there, whole, when this returns.

    Raises:
        StorageError: disk full and the like. No trace of the commit is then left.
    """
    contents = {
        MODEL: to_safetensors(state.weights),
        OPTIMIZER: save(dict(state.optimizer)),
        STATE: state.record.to_json().encode(),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[MANIFEST] = Manifest(files=digests).to_json().encode()
    final = parent / commit_name(state.round_id)
    temporary = final.with_name(final.name + TEMPORARY)
    with storage_errors(parent):
        try:
            temporary.mkdir(parents=True)
            for name, data in contents.items():
                (temporary / name).write_bytes(data)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    commit_folder(temporary, final)
    return final


def read_commit(folder: Path) -> RoundState:
    """Read a round back and check every byte; raises CheckpointCorrupt."""
    record = read_record(folder)
    manifest = _manifest(folder)
    model = _checked(folder, MODEL, manifest)
    if manifest.files[MODEL] != record.model_sha256:
        raise CheckpointCorrupt(f"{folder}: {MODEL} is not the model that {STATE} tells of")
    optimizer = _optimizer(_checked(folder, OPTIMIZER, manifest), folder / OPTIMIZER)
    return RoundState(from_safetensors(model, folder / MODEL), optimizer, record)


def read_record(folder: Path) -> RoundRecord:
    """Read a round's record alone, which outlives its weights; raises CheckpointCorrupt."""
    data = _checked(folder, STATE, _manifest(folder))
    try:
        record = RoundRecord.from_json(data)
    except ValidationError:
        raise CheckpointCorrupt(f"{folder / STATE}: not a round's record of this version") from None
    if record.round != round_of(folder):
        raise CheckpointCorrupt(f"{folder}: holds round {record.round}; the folder was renamed")
    return record


def has_weights(folder: Path) -> bool:
    """Whether a commit still has its weights; those of old rounds are dropped."""
    return (folder / MODEL).exists()


def drop_weights(folder: Path) -> None:
    """Remove the large files of an old round and keep its record."""
    with storage_errors(folder):
        for name in (MODEL, OPTIMIZER):
            (folder / name).unlink(missing_ok=True)


def _manifest(folder: Path) -> Manifest:
    try:
        return Manifest.from_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise CheckpointCorrupt(f"{folder / MANIFEST}: cannot be read ({error.strerror})") from None
    except ValidationError:
        raise CheckpointCorrupt(f"{folder / MANIFEST}: not a manifest; the file is damaged") from None


def _checked(folder: Path, name: str, manifest: Manifest) -> bytes:
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise CheckpointCorrupt(f"{folder / name}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != manifest.files.get(name):
        raise CheckpointCorrupt(f"{folder / name}: its sha256 does not match the manifest; the file is damaged")
    return data


def _optimizer(data: bytes, where: Path) -> OptimizerState:
    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointCorrupt(f"{where}: not a readable state file ({error})") from None
