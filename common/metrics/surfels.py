"""The surface of a mask as small flat pieces, surfels, each with a place and an area.

Between every 2 x 2 x 2 voxels lies one cell. Where the mask holds some of its eight corners but not all, the
surface passes through, and marching cubes at one half says with which triangles. Distances between surfaces are
then weighted by area: a slanted border of many voxels counts no more than a straight one of few.

Source: Nikolov et al. 2018, arXiv:1809.04430, and its surface-distance library, whose areas these are.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from common.metrics.overlap import Mask, content_box

Spacing = tuple[float, float, float]
Points = npt.NDArray[np.int64]
"""(n, 3) voxel or cell indices."""

_Corner = tuple[int, int, int]
_CORNERS: tuple[_Corner, ...] = tuple((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1))

# Corners inside the mask, written as a bit for each of _CORNERS, and the triangles between them and the rest:
# their area vectors along the three axes without sign, in eighths of a voxel face. Every other cell is one of
# these thirteen turned, mirrored, or with inside and outside exchanged.
_SHAPES: dict[str, tuple[_Corner, ...]] = {
    "00000001": ((1, 1, 1),),
    "00000011": ((2, 2, 0), (2, 2, 0)),
    "00000110": ((1, 1, 1), (1, 1, 1)),
    "00000111": ((1, 1, 1), (2, 2, 2), (4, 0, 0)),
    "00001111": ((4, 0, 0), (4, 0, 0)),
    "00010110": ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "00010111": ((1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)),
    "00011000": ((1, 1, 1), (1, 1, 1)),
    "00011001": ((0, 2, 2), (0, 2, 2), (1, 1, 1)),
    "00011011": ((0, 2, 2), (1, 1, 1), (2, 0, 2), (3, 3, 3)),
    "00011110": ((1, 1, 1), (1, 1, 1), (2, 2, 2), (4, 0, 0)),
    "00111100": ((2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0)),
    "01101001": ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
}


@dataclass(frozen=True, slots=True)
class Surfels:
    """A surface in pieces.

    Attributes:
        cells: (n, 3) int64, the cell of each; cell i lies between voxels i - 1 and i.
        areas_mm2: (n,) float64.
    """

    cells: Points
    areas_mm2: npt.NDArray[np.float64]


def surfels_of(mask: Mask, spacing_mm: Spacing, origin: Sequence[int] = (0, 0, 0)) -> Surfels:
    """The surfels of a 3-D mask; what lies outside the array is outside the mask.

    One voxel of 1 mm has 8, each of sqrt(3) / 8 = 0.2165 mm2.

    Args:
        mask: (X, Y, Z), whatever is not 0 is inside.
        spacing_mm: voxel edges.
        origin: index of the mask's first voxel in the grid that `cells` shall count in.
    """
    box = content_box(mask)
    codes = _cell_codes(mask[box] != 0)
    flat = codes.ravel()
    found = np.flatnonzero((flat != 0) & (flat != 255))
    corner = np.array([edge.start for edge in box], np.int64) + np.asarray(origin, np.int64)
    cells = np.stack(np.unravel_index(found, codes.shape), axis=1) + corner
    return Surfels(cells, surfel_areas_mm2(spacing_mm)[flat[found]])


def surfel_areas_mm2(spacing_mm: Spacing) -> npt.NDArray[np.float64]:
    """(256,) area of the surface in a cell, by the bits of its corners (_CORNERS in order, first bit highest).

    A flat border across the first axis (codes 15 and 240) has the area of a voxel's face, spacing y times z.
    """
    x, y, z = spacing_mm
    faces = np.array([y * z, x * z, x * y])
    areas: npt.NDArray[np.float64] = np.linalg.norm(_area_vectors() * faces, axis=-1).sum(axis=-1)
    return areas


@cache
def _area_vectors() -> npt.NDArray[np.float64]:
    """(256, 4, 3) area vectors of up to four triangles of every cell, in voxel faces."""
    vectors = np.zeros((256, 4, 3))
    for bits, triangles in _SHAPES.items():
        inside = [corner for corner, bit in zip(_CORNERS, bits, strict=True) if bit == "1"]
        for order, flips in _symmetries():
            turned = {_turn(corner, order, flips) for corner in inside}
            code = sum(128 >> index for index, corner in enumerate(_CORNERS) if corner in turned)
            area = np.array([[triangle[axis] for axis in order] for triangle in triangles]) / 8.0
            vectors[code, : len(area)] = vectors[255 - code, : len(area)] = area
    return vectors


def _symmetries() -> Iterator[tuple[_Corner, _Corner]]:
    """The 48 ways to lay a cube upon itself: an order of the axes and which of them to flip."""
    for order in itertools.permutations((0, 1, 2)):
        for flips in _CORNERS:
            yield (order[0], order[1], order[2]), flips


def _turn(corner: _Corner, order: _Corner, flips: _Corner) -> _Corner:
    x, y, z = (corner[axis] ^ flip for axis, flip in zip(order, flips, strict=True))
    return (x, y, z)


def _cell_codes(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """(X + 1, Y + 1, Z + 1) bits of each cell's corners."""
    width, depth, height = inside.shape
    codes = np.zeros((width + 1, depth + 1, height + 1), np.uint8)
    voxels = inside.view(np.uint8)
    for index, (x, y, z) in enumerate(_CORNERS):
        # The voxel is the corner (x, y, z) of the cell that begins one voxel before it where the corner is 1.
        part = codes[1 - x : width + 1 - x, 1 - y : depth + 1 - y, 1 - z : height + 1 - z]
        np.bitwise_or(part, voxels << np.uint8(7 - index), out=part)
    return codes
