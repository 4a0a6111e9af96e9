"""Reading one NIfTI file as a checked 3-D volume, the only place where imaging files are opened."""

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
        with _decompressed(path) as stream:
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
        with _decompressed(path) as stream:
            image, grid = _checked_header(stream, path, case)
        wanted = image.dataobj.offset + math.prod(image.shape) * image.header.get_data_dtype().itemsize
        if _size_differs(path, wanted):
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
        with _decompressed(path) as stream:
            affine = _open_image(stream).affine
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


def _size_differs(path: Path, wanted_bytes: int) -> bool:
    """Whether a file, once decompressed, has another size than its header says; gzip knows it modulo 2^32."""
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
        end = raw.seek(-4, os.SEEK_END) + 4
        if not compressed:
            return end < wanted_bytes
        return int.from_bytes(raw.read(4), "little") != wanted_bytes % 2**32


@contextmanager
def _decompressed(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed where they are gzip, whatever the name says."""
    with path.open("rb") as raw:
        if raw.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast(BinaryIO, stream)
        else:
            yield raw


def _open_image(stream: BinaryIO) -> Any:
    """A lazy NIfTI image on an open stream: header read, data not."""
    start = cast(Any, stream).peek(4)[:4]
    sizes = (int.from_bytes(start, "little"), int.from_bytes(start, "big"))
    image_class = next((_IMAGE_BY_HEADER_SIZE[size] for size in sizes if size in _IMAGE_BY_HEADER_SIZE), None)
    if image_class is None:
        raise ImageFileError("not a NIfTI file")
    return image_class.from_stream(stream)


def _parse(stream: BinaryIO, path: Path, case: str) -> Volume:
    image, grid = _checked_header(stream, path, case)
    return Volume(np.asarray(image.dataobj).reshape(grid.shape), grid)


def _checked_header(stream: BinaryIO, path: Path, case: str) -> tuple[Any, Grid]:
    image = _open_image(stream)
    shape = check_shape(tuple(image.shape), case, path)
    affine = np.asarray(image.affine, dtype=np.float64)
    check_spacing(affine, tuple(image.header.get_zooms()), case, path)
    if image.header.get_data_dtype().kind not in "iuf":
        raise ImageFileError(f"voxels of type {image.header.get_data_dtype()} are not single numbers")
    return image, Grid(shape, affine)


def _unreadable(path: Path, case: str, error: Exception) -> CaseRejected:
    text = " ".join(str(error).split())
    return CaseRejected(CaseReason.UNREADABLE_FILE, case, f"{path}: cannot be read as NIfTI ({text})")
