"""Seeded generators, sampling grids, and smooth fields on a coarse lattice.

Anatomy is smooth, so it is computed on a lattice of a few millimetres and brought to the voxel grid by cubic
B-splines, one sparse product an axis: a 47-cubed lattice to 96 cubed voxels takes about 4 ms. Dense products would
take half of that alone, and ten times as long when several processes' BLAS threads wait for each other.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

FloatArray = npt.NDArray[np.float32]
LATTICE_HALF_MM = 104.0


def generator(seed: int, site: str, *key: int | str) -> np.random.Generator:
    """A generator for one purpose: the same whatever was drawn before and in whichever process."""
    text = "\x1f".join([str(seed), site, *(str(part) for part in key)])
    entropy = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return np.random.Generator(np.random.PCG64(entropy))


@dataclass(frozen=True, slots=True)
class SamplingGrid:
    """The voxel grid of an exam in RAS, and the finer slices it is averaged from.

    Attributes:
        shape: voxels on disk, along right, anterior, superior.
        spacing_mm: voxel size on disk.
        sub_slices: rendered slices per slice on disk.
        thickness_mm: through-plane extent that a slice averages.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    sub_slices: int
    thickness_mm: float

    @property
    def fine_shape(self) -> tuple[int, int, int]:
        """Rendered voxels."""
        return (self.shape[0], self.shape[1], self.shape[2] * self.sub_slices)

    @property
    def fine_spacing_mm(self) -> tuple[float, float, float]:
        """Rendered voxel size."""
        return (self.spacing_mm[0], self.spacing_mm[1], self.spacing_mm[2] / self.sub_slices)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of a voxel on disk."""
        return math.prod(self.spacing_mm)

    def fine_axes_mm(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Centres of rendered voxels along each axis; 0 is the centre of the view."""
        x, y, z = (
            ((np.arange(count) - (count - 1) / 2) * step).astype(np.float32)
            for count, step in zip(self.fine_shape, self.fine_spacing_mm, strict=True)
        )
        return (x, y, z)

    def slice_weights(self, thickness_mm: float) -> FloatArray:
        """(fine slices, slices) share of each rendered slice in each slice on disk; columns sum to 1."""
        step = self.fine_spacing_mm[2]
        fine = self.fine_axes_mm()[2].astype(np.float64)[:, None]
        centre = (np.arange(self.shape[2]) - (self.shape[2] - 1) / 2) * self.spacing_mm[2]
        upper = np.minimum(fine + step / 2, centre + thickness_mm / 2)
        lower = np.maximum(fine - step / 2, centre - thickness_mm / 2)
        overlap = np.clip(upper - lower, 0.0, None)
        return np.asarray(overlap / overlap.sum(axis=0, keepdims=True), dtype=np.float32)

    def to_slices(self, volume: FloatArray, thickness_mm: float) -> FloatArray:
        """Average a rendered volume (X, Y, fine slices) to (X, Y, slices) of a thickness."""
        weights = self.slice_weights(thickness_mm)
        first = np.argmax(weights > 0.0, axis=0)
        slices = np.zeros((*volume.shape[:2], self.shape[2]), dtype=np.float32)
        for offset in range(int((weights > 0.0).sum(axis=0).max())):
            fine = np.minimum(first + offset, volume.shape[2] - 1)
            share = np.where(first + offset == fine, weights[fine, np.arange(len(fine))], 0.0)
            slices += volume[:, :, fine] * share.astype(np.float32)
        return slices


@dataclass(frozen=True, slots=True)
class Lattice:
    """A cubic lattice of control points around the origin, `step_mm` apart."""

    step_mm: float

    @property
    def count(self) -> int:
        """Control points along an axis."""
        return 2 * math.ceil(LATTICE_HALF_MM / self.step_mm) + 5

    def axis_mm(self) -> FloatArray:
        """Coordinates of the control points."""
        return np.asarray((np.arange(self.count) - (self.count - 1) / 2) * self.step_mm, dtype=np.float32)

    def noise(self, rng: np.random.Generator) -> FloatArray:
        """White noise at the control points; its spline has features of about three steps."""
        return rng.standard_normal((self.count,) * 3, dtype=np.float32)

    def basis(self, points_mm: FloatArray) -> sparse.csr_array:
        """(points, count) cubic B-spline weights, four a row, sum 1. Points beyond the lattice are clamped."""
        place = points_mm.astype(np.float64) / self.step_mm + (self.count - 1) / 2
        place = np.clip(place, 1.0, self.count - 2.001)
        first = np.floor(place).astype(np.int32)
        t = place - first
        taps = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        weights = (np.stack(taps, axis=1) / 6).astype(np.float32).ravel()
        columns = (first[:, None] + np.arange(-1, 3, dtype=np.int32)).ravel()
        starts = np.arange(len(place) + 1, dtype=np.int32) * 4
        return sparse.csr_array((weights, columns, starts), shape=(len(place), self.count))

    def sample(self, control: FloatArray, axes_mm: tuple[FloatArray, FloatArray, FloatArray]) -> FloatArray:
        """The spline on a grid given by its axes: (X, Y, Z) float32. The last product is the largest: no copy."""
        x, y, z = (len(axis) for axis in axes_mm)
        by_x, by_y, by_z = (self.basis(axis) for axis in axes_mm)
        n = self.count
        lines = (by_z @ control.reshape(n * n, n).T).reshape(z, n, n)
        planes = (by_y @ lines.transpose(2, 1, 0).reshape(n, n * z)).reshape(y, n, z)
        volume = by_x @ planes.transpose(1, 0, 2).reshape(n, y * z)
        return np.asarray(volume.reshape(x, y, z), dtype=np.float32)

    def sample_at(self, control: FloatArray, points_mm: FloatArray) -> FloatArray:
        """The spline at (n, 3) points by linear interpolation, which is enough for displacements."""
        place = np.clip(points_mm / self.step_mm + (self.count - 1) / 2, 0.0, self.count - 1.001)
        low = place.astype(np.intp)
        part = (place - low).astype(np.float32)
        total = np.zeros(len(points_mm), dtype=np.float32)
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1)
            x, y, z = (low + np.array(corner)).T
            total += weight * control[x, y, z]
        return total


def sigmoid(value: FloatArray) -> FloatArray:
    """Soft step from 0 to 1; clipped where float32 would overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(-value, -30.0, 30.0))), dtype=np.float32)
