"""Reading one NIfTI file as a checked 3-D volume, the only place where imaging files are opened."""

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from client.data.case import Grid
from client.data.quality import check_file, check_intensities, check_shape, check_spacing
from common.errors import CaseReason, CaseRejected

_GZIP_MAGIC = b"\x1f\x8b"
_IMAGE_BY_HEADER_SIZE = {348: nib.Nifti1Image, 540: nib.Nifti2Image}


@dataclass(frozen=True, slots=True)
class Volume:
    """A (X, Y, Z) array and the grid it lies on."""

    values: npt.NDArray[Any]
    grid: Grid


def read_volume(path: Path, case: str, missing: CaseReason) -> Volume:
    """Read a whole NIfTI-1 or -2 file, compressed or not, with its scaling applied.

    Raises:
        CaseRejected: `missing` for an absent file, ZERO_BYTE_FILE, TRUNCATED_FILE (it ends early), UNREADABLE_FILE
            (not NIfTI, damaged, no permission, or voxels that are not single numbers), NOT_3D, EMPTY_VOLUME,
            ABSURD_SPACING.
    """
    with _faults_typed(path, case):
        check_file(path, case, missing)
        with path.open("rb") as raw, _decompressed(raw) as stream:
            volume = _parse(stream, path, case)
            while stream.read(1 << 20):  # to the end, where gzip keeps its checksum
                pass
        return volume


def read_grid(path: Path, case: str, missing: CaseReason) -> Grid:
    """The grid of a file whose header is sound and whose size fits it, without reading the voxels.

    A compressed file says its size in its last four bytes (RFC 1952). One that says another than the header is
    read whole, since it may be damaged, or be compressed in several pieces, which is legal.

    Raises:
        CaseRejected: as `read_volume`; a damage that leaves the size as it was is not seen.
    """
    with _faults_typed(path, case):
        check_file(path, case, missing)
        with path.open("rb") as raw:
            with _decompressed(raw) as stream:
                header = _read_header(stream)
            grid = _checked_grid(header, path, case)
            voxels_bytes = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
            differs = _size_differs(raw, header.get_data_offset() + voxels_bytes)
        if differs:
            read_volume(path, case, missing)
        return grid


def read_image(path: Path, case: str) -> Volume:
    """Read an image as float32; besides `read_volume`'s reasons NOT_FINITE, EMPTY_VOLUME and CONSTANT_IMAGE."""
    volume = read_volume(path, case, CaseReason.MISSING_SEQUENCE)
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which the next line refuses
        values = np.ascontiguousarray(volume.values, dtype=np.float32)
    check_intensities(values, case, path)
    return Volume(values, volume.grid)


def header_spacing_mm(path: Path) -> tuple[float, float, float] | None:
    """Voxel edges from a file's affine without reading its data; None when the header cannot be read."""
    if not path.is_file():  # a named pipe would be waited for without end
        return None
    try:
        with path.open("rb") as raw, _decompressed(raw) as stream:
            affine = _read_header(stream).get_best_affine()
    except (OSError, EOFError, zlib.error, ValueError, WrapStructError, ImageFileError, HeaderDataError):
        return None
    x, y, z = (float(edge) for edge in np.linalg.norm(affine[:3, :3], axis=0))
    return (x, y, z)


@contextmanager
def _faults_typed(path: Path, case: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, WrapStructError):
        raise CaseRejected(
            CaseReason.TRUNCATED_FILE, case, f"{path}: the file ends early; copy it again"
        ) from None
    except (ImageFileError, HeaderDataError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise _unreadable(path, case, error) from None
    except OSError as error:
        if error.errno is None:  # nibabel's own, for fewer bytes than the header promises
            detail = f"{path}: the file ends early; copy it again"
            raise CaseRejected(CaseReason.TRUNCATED_FILE, case, detail) from None
        raise _unreadable(path, case, error) from None


def _size_differs(raw: BufferedReader, wanted_bytes: int) -> bool:
    """Whether a file, once decompressed, has another size than its header says; gzip knows it modulo 2^32."""
    raw.seek(0)
    compressed = raw.read(2) == _GZIP_MAGIC
    end = raw.seek(-4, os.SEEK_END) + 4
    if not compressed:
        return end < wanted_bytes
    return int.from_bytes(raw.read(4), "little") != wanted_bytes % 2**32


@contextmanager
def _decompressed(raw: BufferedReader) -> Iterator[BinaryIO]:
    """The bytes of a file just opened, decompressed where they are gzip, whatever its name says."""
    if raw.peek(2)[:2] == _GZIP_MAGIC:
        with gzip.GzipFile(fileobj=raw) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield raw


def _image_class(stream: BinaryIO) -> Any:
    """nibabel's class for what begins here, told by the header's size, its first number."""
    start = cast(Any, stream).peek(4)[:4]
    sizes = (int.from_bytes(start, "little"), int.from_bytes(start, "big"))
    image_class = next((_IMAGE_BY_HEADER_SIZE[size] for size in sizes if size in _IMAGE_BY_HEADER_SIZE), None)
    if image_class is None:
        raise ImageFileError("not a NIfTI file")
    return image_class


def _read_header(stream: BinaryIO) -> Any:
    """A NIfTI header alone, checked and mended as nibabel does; a third of the time that a lazy image takes."""
    header_class = _image_class(stream).header_class
    return header_class(stream.read(header_class.template_dtype.itemsize))


def _parse(stream: BinaryIO, path: Path, case: str) -> Volume:
    image = _image_class(stream).from_stream(stream)
    grid = _checked_grid(image.header, path, case)
    return Volume(np.asarray(image.dataobj).reshape(grid.shape), grid)


def _checked_grid(header: Any, path: Path, case: str) -> Grid:
    shape = check_shape(tuple(header.get_data_shape()), case, path)
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    check_spacing(affine, tuple(header.get_zooms()), case, path)
    if header.get_data_dtype().kind not in "iuf":
        raise ImageFileError(f"voxels of type {header.get_data_dtype()} are not single numbers")
    return Grid(shape, affine)


def _unreadable(path: Path, case: str, error: Exception) -> CaseRejected:
    text = " ".join(str(error).split())
    return CaseRejected(CaseReason.UNREADABLE_FILE, case, f"{path}: cannot be read as NIfTI ({text})")
