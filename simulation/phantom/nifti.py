"""NIfTI files with the same bytes for the same voxels, whenever and wherever they are written."""

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from common.errors import StorageError

_GZIP_WINDOW = 31


def grid_affine(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], offset_mm: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """(4, 4) RAS affine whose centre of view lies at `offset_mm` in the scanner."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = np.array(offset_mm) - (np.array(shape) - 1) / 2 * np.array(spacing_mm)
    return affine


def write_nifti(
    path: Path,
    voxels: npt.NDArray[np.int16] | npt.NDArray[np.uint8],
    affine: npt.NDArray[np.float64],
    orientation: str,
) -> None:
    """Write a RAS volume in another axis order, gzipped without a time stamp.

    Run-length matching at the fastest level: noise does not compress and the background does, 4 times faster
    than zlib's default for 5 % more bytes.

    Raises:
        StorageError: the disk refuses.
    """
    codes = nib.orientations.axcodes2ornt(orientation)
    change = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), codes)
    turned = nib.orientations.apply_orientation(voxels, change)
    turned_affine = affine @ nib.orientations.inv_ornt_aff(change, voxels.shape)
    image = nib.Nifti1Image(turned, turned_affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(turned_affine, code=1)
    image.set_sform(turned_affine, code=1)
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW, 9, zlib.Z_RLE)
    content = packer.compress(image.to_bytes()) + packer.flush()
    write_bytes(path, content)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of the cohort; raises StorageError with what to do."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot write the phantom cohort ({error.strerror}); free space or move it"
        ) from None
