"""The output folder of a run: it belongs to one experiment, and to one process at a time."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from common.durable import write_durably
from common.errors import OutputError
from simulation.config import Experiment

_RECORD = "experiment.json"
_LOCK = ".lock"
SECONDS_FILE = "seconds.json"
_OURS_WITHOUT_RECORD = (_LOCK, f".{_RECORD}.tmp")  # all that a run cut off in its first moments leaves
_NO_WORK_YET = (*_OURS_WITHOUT_RECORD, _RECORD, SECONDS_FILE)  # all that a run refused for its data leaves


@contextmanager
def claim_folder(folder: Path, experiment: Experiment) -> Iterator[None]:
    """Hold the folder for this experiment; a folder of another experiment, or one in use, is refused.

    Raises:
        OutputError: says whose the folder is, or in which setting it differs; or it cannot be written at all.
        StorageError: the disk is full.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another --out")
    _refuse_foreign(folder)
    with _open_lock(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{folder}: another run is writing here; wait for it or choose another --out"
            ) from None
        _check_owner(folder, experiment)
        yield


def _refuse_foreign(folder: Path) -> None:
    """Before anything is written, a lock included: a folder without the record of a run must be empty."""
    try:
        present = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read ({error.strerror}); choose another --out") from None
    foreign = [name for name in present if name not in _OURS_WITHOUT_RECORD]
    if foreign and not (folder / _RECORD).exists():
        raise OutputError(
            f"{folder}: not empty and not made by fedmets-sim (holds {foreign[0]}); choose an empty --out"
        )


def _open_lock(folder: Path) -> TextIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / _LOCK).open("w")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def _check_owner(folder: Path, experiment: Experiment) -> None:
    record = folder / _RECORD
    if all(path.name in _NO_WORK_YET for path in folder.iterdir()):
        values = {"identity": experiment.identity(), "settings": _settings(experiment)}
        write_durably(record, json.dumps(values, indent=1).encode())
        return
    try:
        stored = json.loads(record.read_bytes())
        identity, settings = str(stored["identity"]), dict(stored["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(f"{record}: not readable; remove the folder {folder} or choose another --out") from None
    if identity != experiment.identity():
        difference = first_difference(settings, _settings(experiment))
        raise OutputError(f"{folder}: holds a run of another configuration ({difference}); choose another --out")


def first_difference(old: Any, new: Any, place: str = "") -> str:
    """Where two settings first differ: `training.steps was 15, is 20`."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return first_difference(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    return f"{place or 'settings'} was {_short(old)}, is {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _settings(experiment: Experiment) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(experiment.to_json())
    values.pop("runtime")
    return values
