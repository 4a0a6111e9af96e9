"""Voxel grids in scanner space: orientation, sub-grids, spacing, overlap."""

from typing import TypeVar

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine

from client.data.case import Grid

Scalar = TypeVar("Scalar", bound=np.generic)

Box = npt.NDArray[np.float64]
"""(2, 3): lowest and highest scanner coordinates in mm."""

_SAME_SPACING_TOLERANCE = 1e-3


def same_grid(first: Grid, second: Grid) -> bool:
    """Whether voxel (i, j, k) of one is voxel (i, j, k) of the other.

    Headers written by different tools differ in the last digits, and some public label files by a fraction of a
    voxel: the same shape and no corner displaced by half the smallest voxel edge or more counts as the same.
    """
    if first.shape != second.shape:
        return False
    corners = corners_of(np.zeros(3), np.asarray(first.shape, dtype=np.float64) - 1.0)
    shift = apply_affine(first.affine, corners) - apply_affine(second.affine, corners)
    return bool(np.linalg.norm(shift, axis=1).max() < 0.5 * min(first.spacing_mm))


def describe_grid(grid: Grid) -> str:
    """A grid for a person: "shape 240 x 240 x 155, spacing 1 x 1 x 1 mm, axes LPS, origin 0, 239, 0"."""
    shape = " x ".join(str(size) for size in grid.shape)
    spacing = " x ".join(f"{edge:.4g}" for edge in grid.spacing_mm)
    origin = ", ".join(f"{value:.4g}" for value in grid.affine[:3, 3])
    axes = "".join(str(code) for code in nib.orientations.aff2axcodes(grid.affine))
    return f"shape {shape}, spacing {spacing} mm, axes {axes}, origin {origin}"


def to_ras(values: npt.NDArray[Scalar], grid: Grid) -> tuple[npt.NDArray[Scalar], Grid]:
    """Permute and flip the axes so that they point right, anterior, superior as nearly as they can; a view.

    No voxel is interpolated: an oblique scan stays oblique.
    """
    orientation = nib.orientations.io_orientation(grid.affine)
    turned = nib.orientations.apply_orientation(values, orientation)
    affine = grid.affine @ nib.orientations.inv_ornt_aff(orientation, grid.shape)
    return turned, Grid(as_triple(turned.shape), affine)


def sub_grid(grid: Grid, start: tuple[int, int, int], shape: tuple[int, int, int]) -> Grid:
    """The part of a grid that begins at voxel `start`."""
    affine = grid.affine.copy()
    affine[:3, 3] = apply_affine(grid.affine, start)
    return Grid(shape, affine)


def respaced_grid(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """The grid with the same axes and the same centre, at another spacing.

    An axis within 0.1 % of the wanted spacing is left as it is. Example: 155 voxels of 1 mm at 2 mm are 78 voxels
    over 156 mm, half a millimetre more on either side.
    """
    old_shape = np.asarray(grid.shape)
    factor = np.asarray(spacing_mm) / np.asarray(grid.spacing_mm)
    factor = np.where(np.abs(factor - 1.0) < _SAME_SPACING_TOLERANCE, 1.0, factor)
    shape = np.maximum(1, np.ceil(old_shape / factor - 1e-6)).astype(int)
    shift = ((old_shape - 1) - (shape - 1) * factor) / 2.0
    step = np.eye(4)
    step[:3, :3] = np.diag(factor)
    step[:3, 3] = shift
    return Grid(as_triple(shape), grid.affine @ step)


def scanner_box(content: npt.NDArray[np.bool_], grid: Grid) -> Box:
    """The scanner-space box around the true voxels, or around the whole grid when there is none."""
    low, high = np.zeros(3), np.asarray(grid.shape, dtype=np.float64) - 1.0
    for axis in range(3):
        rest = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(content.any(axis=rest))
        if hits.size:
            low[axis], high[axis] = hits[0], hits[-1]
    points = apply_affine(grid.affine, corners_of(low - 0.5, high + 0.5))
    return np.stack([points.min(axis=0), points.max(axis=0)])


def overlap_share(first: Box, second: Box) -> float:
    """Volume that two boxes share over the volume of the smaller one: 0 apart, 1 one inside the other."""
    shared = np.prod(np.clip(np.minimum(first[1], second[1]) - np.maximum(first[0], second[0]), 0.0, None))
    smaller = min(np.prod(first[1] - first[0]), np.prod(second[1] - second[0]))
    return float(shared / smaller)


def corners_of(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The eight corners of a box, (8, 3)."""
    return np.array([[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])


def as_triple(values: npt.ArrayLike) -> tuple[int, int, int]:
    """Three whole numbers from any array-like of three."""
    x, y, z = (int(value) for value in np.asarray(values))
    return (x, y, z)


def header_spacing_mm(grid: Grid) -> tuple[float, float, float]:
    """Voxel edges to the nanometre: headers are of single precision, and 2 mm3 must not be 2.0000002."""
    x, y, z = (round(edge, 6) for edge in grid.spacing_mm)
    return (x, y, z)
