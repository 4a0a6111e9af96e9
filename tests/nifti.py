"""Synthetic NIfTI files for tests, ten lines a scanner."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt


def write_nifti(path: Path, array: npt.ArrayLike, affine: npt.ArrayLike | None = None) -> Path:
    """Write an array as it is (dtype kept, int64 and bool narrowed) and make the folders; returns the path."""
    data = np.asarray(array)
    if data.dtype in (np.dtype(np.int64), np.dtype(bool)):
        data = data.astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = np.eye(4) if affine is None else np.asarray(affine, dtype=np.float64)
    nib.save(nib.Nifti1Image(data, matrix), path)
    return path


def oriented_affine(
    codes: str, spacing_mm: Sequence[float], shape: Sequence[int], rotation_degrees: float = 0.0
) -> npt.NDArray[np.float64]:
    """Affine of a grid centred on the scanner's origin whose array axes point to `codes`, such as "LPS" or "PIR".

    `rotation_degrees` turns the grid about the scanner's x axis and, half as far, about z: an oblique scan.
    """
    target = nib.orientations.axcodes2ornt(codes)
    linear = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(target):
        linear[int(world), axis] = sign * spacing_mm[axis]
    if rotation_degrees:
        linear = _turn(0, rotation_degrees) @ _turn(2, rotation_degrees / 2) @ linear
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = -linear @ ((np.asarray(shape[:3], dtype=float) - 1) / 2)
    return affine


def _turn(axis: int, degrees: float) -> npt.NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    first, second = (other for other in range(3) if other != axis)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[second, first] = np.sin(angle)
    matrix[first, second] = -np.sin(angle)
    return matrix
