"""Prepared cases on disk, found by content.

An entry is written under another name in the cache's folder, flushed, and renamed to its key: whoever comes
second, in this process or another, finds the first one's entry and drops its own.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import scipy

from client.data.cache_entry import DamagedEntry, NoEntry, read_entry, write_entry
from client.data.case import Case, PreparedCase
from client.data.preprocessing import Recipe, prepare, required_files
from client.data.quality import check_file
from common.durable import commit_folder, storage_errors
from common.errors import CaseReason, CaseRejected, StorageError
from common.schema import canonical_json

PREPROCESSING_VERSION = 2
"""Raise with any change to what `prepare` computes: old entries are then never met again."""

_ATTEMPTS = 5


def ensure_prepared(case: Case, recipe: Recipe, folder: Path) -> str:
    """The key of the case's sound entry in `folder`, which is made where it is missing or damaged.

    A rejection is not cached: it costs little, and ends with the repair.

    Raises:
        CaseRejected: as `prepare`.
        StorageError: the cache cannot be read or written; names the folder.
    """
    key = cache_key(case, recipe)
    for _ in range(_ATTEMPTS):
        if _find(folder, key) is not None:
            return key
        _publish(prepare(case, recipe), folder, key)
    raise StorageError(
        f"{folder / key}: the entry vanishes as often as it is written; give each site its own cache"
    )


def open_prepared(folder: Path, key: str) -> PreparedCase:
    """The case under a key that `ensure_prepared` gave; its arrays are memory-mapped and read-only.

    Raises:
        StorageError: there is no sound entry.
    """
    try:
        return read_entry(folder / key, key)
    except (NoEntry, DamagedEntry) as error:
        raise StorageError(f"{error}; prepare the case again") from None


def cache_key(case: Case, recipe: Recipe) -> str:
    """Hex sha256 over the bytes of every file that is read and over all that decides what becomes of them.

    Paths do not enter: the same case copied elsewhere has the same key. Nor does which sequences a case may lack:
    what it has is told by its files, and what is made of them by name.

    Raises:
        CaseRejected: a file that the plan needs is missing or cannot be read.
    """
    files = {name: _sha256(path, name, case.exam) for name, path in required_files(case, recipe).items()}
    known, rule = case.metadata, recipe.rule
    content = {
        "version": PREPROCESSING_VERSION,
        "libraries": [np.__version__, scipy.__version__, nib.__version__],
        "case": [case.patient, case.exam],
        "metadata": [known.age_years, known.sex, known.primary_cancer, known.field_strength_t],
        "files": files,
        "sequences": recipe.sequences,
        "spec": recipe.spec.model_dump(mode="json", exclude={"make_subtraction"}),
        "rule": None if rule is None else [sorted(rule.mapping.items()), sorted(rule.ignored)],
        "tumour": sorted(recipe.tumour_indices),
        "mask_command": recipe.mask_command,
    }
    if rule is not None and rule.meanings:
        content["meanings"] = rule.meanings
    made = recipe.channels_of(case).made
    if made:
        content["made"] = made
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _sha256(path: Path, name: str, exam: str) -> str:
    reasons = {"label": CaseReason.MISSING_LABEL, "brain mask": CaseReason.NO_BRAIN_MASK}
    missing = reasons.get(name, CaseReason.MISSING_SEQUENCE)
    try:
        check_file(path, exam, missing)  # nor is a named pipe a file: it would be waited for without end
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        detail = f"{path}: cannot be read ({error.strerror}); correct its permissions"
        raise CaseRejected(CaseReason.UNREADABLE_FILE, exam, detail) from None


def _find(folder: Path, key: str) -> PreparedCase | None:
    """The sound entry under a key; a damaged one is moved out of the way, so that no reader sees half of it go."""
    try:
        return read_entry(folder / key, key)
    except NoEntry:
        return None
    except DamagedEntry:
        with storage_errors(folder), _scratch(folder, key) as grave, suppress(FileNotFoundError):
            (folder / key).rename(grave / "damaged")  # not found: another process was faster
        return None


def _publish(prepared: PreparedCase, folder: Path, key: str) -> None:
    """Write an entry beside its place and rename it there, unless another came first."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _scratch(folder, key) as draft:
            write_entry(prepared, draft, key)
            try:
                commit_folder(draft, folder / key)
            except StorageError:
                if not (folder / key).is_dir():
                    raise


@contextmanager
def _scratch(folder: Path, key: str) -> Iterator[Path]:
    """A hidden folder in the cache, gone at the end."""
    path = Path(tempfile.mkdtemp(prefix=f".{key[:16]}-", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
