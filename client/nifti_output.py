"""Write a volume on the grid of an existing NIfTI file, and nothing else of that file."""

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from common.durable import write_durably
from common.notice import NOTICE

# The geometry of a header. Free text (descrip, db_name, ...) and extensions stay behind: they may name a patient.
_GEOMETRY = (
    "pixdim",
    "dim_info",
    "xyzt_units",
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
)
_GZIP_MAGIC = b"\x1f\x8b"
_NIFTI2_SIZE = 540
_DESCRIPTION = f"fedmets: {NOTICE}".encode()


def save_on_grid_of(source: Path, array: npt.NDArray[np.uint8] | npt.NDArray[np.float32], target: Path) -> None:
    """Save an array with the affine, qform, sform, their codes and the units of `source`.

    Args:
        source: NIfTI file, .nii or .nii.gz, whose array has the same first three axes.
        array: (X, Y, Z) or (X, Y, Z, K); its dtype is the file's.
        target: ends in .nii or .nii.gz; written whole or not at all.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    origin = _read_header(source)
    kind = nib.Nifti2Image if isinstance(origin, nib.Nifti2Header) else nib.Nifti1Image
    header = kind.header_class()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    for name in _GEOMETRY:
        header[name] = origin[name]
    header["descrip"] = _DESCRIPTION
    # The very affine of the source: nibabel then leaves the header's own qform and sform untouched.
    data = kind(array, origin.get_best_affine(), header).to_bytes()
    write_durably(target, gzip.compress(data, compresslevel=1, mtime=0) if target.suffix == ".gz" else data)


def _read_header(path: Path) -> Any:
    """The header alone; compressed or not by content, as files are read, whatever the name says."""
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
    with gzip.open(path) if compressed else path.open("rb") as stream:
        start = stream.read(_NIFTI2_SIZE)
    sizes = (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    kind = nib.Nifti2Header if _NIFTI2_SIZE in sizes else nib.Nifti1Header
    return kind.from_fileobj(io.BytesIO(start))
