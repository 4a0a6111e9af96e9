"""One prepared case as a folder: a .npy file an array and `entry.json`, written whole, read memory-mapped."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib import format as npy
from pydantic import ValidationError

from client.data.case import Grid, Metadata, PreparedCase
from common.label_meanings import Meanings
from common.schema import Frozen

_ENTRY = "entry.json"
_IN_MEMORY = frozenset({"lesion_voxels", "lesion_numbers"})  # small: not worth a mapping


class NoEntry(Exception):
    """There is no entry at all."""


class DamagedEntry(Exception):
    """A file of the entry is missing, cut short or does not parse."""


class _ArrayFile(Frozen):
    dtype: str
    shape: tuple[int, ...]
    bytes: int


class _Grid(Frozen):
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]


class _Metadata(Frozen):
    age_years: float | None
    sex: str | None
    primary_cancer: str | None
    field_strength_t: float | None


class _Entry(Frozen):
    key: str
    patient: str
    exam: str
    metadata: _Metadata
    grid: _Grid
    native: _Grid
    arrays: dict[str, _ArrayFile]
    meanings: Meanings = ()
    absent_channels: tuple[int, ...] = ()  # an entry of an older version was made of a case that lacked none


def write_entry(prepared: PreparedCase, folder: Path, key: str) -> None:
    """Write every file of an entry into an existing folder; raises OSError."""
    arrays = {}
    for name, values in _arrays_of(prepared).items():
        path = folder / f"{name}.npy"
        np.save(path, values, allow_pickle=False)
        arrays[name] = _ArrayFile(dtype=str(values.dtype), shape=values.shape, bytes=path.stat().st_size)
    known = prepared.metadata
    entry = _Entry(
        key=key,
        patient=prepared.patient,
        exam=prepared.exam,
        metadata=_Metadata(
            age_years=known.age_years,
            sex=known.sex,
            primary_cancer=known.primary_cancer,
            field_strength_t=known.field_strength_t,
        ),
        grid=_recorded(prepared.grid),
        native=_recorded(prepared.native),
        arrays=arrays,
        meanings=prepared.meanings,
        absent_channels=prepared.absent_channels,
    )
    (folder / _ENTRY).write_text(entry.to_json(), encoding="utf-8")


def read_entry(folder: Path, key: str) -> PreparedCase:
    """Map an entry's arrays, read-only.

    Raises:
        NoEntry: no such folder.
        DamagedEntry: a size, shape, type or the JSON does not agree with what was written.
    """
    if not folder.is_dir():
        raise NoEntry(f"{folder}: no entry")
    try:
        entry = _Entry.from_json((folder / _ENTRY).read_bytes())
        arrays = {name: _map(folder / f"{name}.npy", name, record) for name, record in entry.arrays.items()}
        if entry.key != key:
            raise DamagedEntry(f"{folder}: holds the entry {entry.key}")
        return PreparedCase(
            patient=entry.patient,
            exam=entry.exam,
            metadata=Metadata(**entry.metadata.model_dump()),
            image=arrays["image"],
            label=arrays.get("label"),
            mask=arrays["mask"],
            grid=_grid(entry.grid),
            native=_grid(entry.native),
            reference=arrays.get("reference"),
            lesion_voxels=arrays["lesion_voxels"],
            lesion_numbers=arrays.get("lesion_numbers"),
            meanings=entry.meanings,
            absent_channels=entry.absent_channels,
        )
    except (OSError, ValueError, ValidationError, KeyError) as error:
        raise DamagedEntry(f"{folder}: {' '.join(str(error).split())}") from None


def _arrays_of(prepared: PreparedCase) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any] | None] = {
        "image": prepared.image,
        "label": prepared.label,
        "mask": prepared.mask,
        "reference": prepared.reference,
        "lesion_voxels": prepared.lesion_voxels,
        "lesion_numbers": prepared.lesion_numbers,
    }
    return {name: values for name, values in arrays.items() if values is not None}


def _map(path: Path, name: str, record: _ArrayFile) -> npt.NDArray[Any]:
    if path.stat().st_size != record.bytes:
        raise DamagedEntry(f"{path}: {path.stat().st_size} bytes instead of {record.bytes}")
    values = np.load(path, allow_pickle=False) if name in _IN_MEMORY else _mapped(path, record.bytes)
    if values.shape != record.shape or str(values.dtype) != record.dtype:
        raise DamagedEntry(f"{path}: {values.dtype} {values.shape} instead of {record.dtype} {record.shape}")
    return values


def _mapped(path: Path, size_bytes: int) -> npt.NDArray[Any]:
    """The array of a .npy file, mapped into memory without keeping the file open.

    numpy's own mapping holds a file descriptor: at four arrays a case 256 cases would use up the 1024 that a
    process commonly may have. torch closes the file once it is mapped.
    """
    with path.open("rb") as file:
        npy.read_magic(file)
        shape, fortran, dtype = npy.read_array_header_1_0(file)
        start = file.tell()
    if dtype.hasobject:
        raise DamagedEntry(f"{path}: holds objects, which are never unpickled")
    content = torch.from_file(str(path), shared=False, size=size_bytes, dtype=torch.uint8).numpy()
    values: npt.NDArray[Any] = content[start:].view(dtype).reshape(shape, order="F" if fortran else "C")
    values.flags.writeable = False
    return values


def _recorded(grid: Grid) -> _Grid:
    rows = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in grid.affine)
    return _Grid(shape=grid.shape, affine=rows)


def _grid(record: _Grid) -> Grid:
    return Grid(record.shape, np.array(record.affine, dtype=np.float64))
