"""Measure each predicted lesion and write the table that goes beside the mask."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from client.data.case import Grid

_HULL_PAYS_ABOVE = 300
_FACES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.int64)
_COLUMNS = (
    "lesion",
    "label",
    "volume_mm3",
    "longest_diameter_mm",
    "centre_x_mm",
    "centre_y_mm",
    "centre_z_mm",
    "mean_probability",
)
_ENSEMBLE_COLUMNS = ("found_by_models", "models")


@dataclass(frozen=True, slots=True)
class Lesion:
    """One 26-connected component of one class.

    Attributes:
        number: 1 for the largest.
        label: class name from the plan.
        volume_mm3: voxels times the voxel's volume.
        longest_diameter_mm: longest 3-D distance between two points of the surface; see `longest_diameter_mm`.
        centre_mm: centroid in scanner coordinates (RAS+: right, anterior and superior are positive).
        mean_probability: mean of the class's probability over the lesion's voxels.
        found_by: of an ensemble, how many models mark at least one of the lesion's voxels as its class; None of
            one model.
    """

    number: int
    label: str
    volume_mm3: float
    longest_diameter_mm: float
    centre_mm: tuple[float, float, float]
    mean_probability: float
    found_by: int | None = None


def measure_lesions(
    mask: npt.NDArray[np.uint8],
    probabilities: npt.NDArray[np.float32],
    grid: Grid,
    labels: Sequence[str],
    finders: Sequence[npt.NDArray[np.uint8]] = (),
) -> tuple[Lesion, ...]:
    """All lesions of a mask, largest first.

    Args:
        mask: (X, Y, Z) class indices, 0 background.
        probabilities: (K, X, Y, Z) by foreground class.
        grid: of both.
        labels: K class names.
        finders: (X, Y, Z) class indices, the masks of an ensemble's models; none of one model.
    """
    found = [
        replace(
            _measure(voxels, probabilities[klass - 1], grid, labels[klass - 1]),
            found_by=_found_by(voxels, klass, finders),
        )
        for klass, voxels in _components(mask)
    ]
    found.sort(key=lambda lesion: (-lesion.volume_mm3, lesion.centre_mm))
    return tuple(replace(lesion, number=number) for number, lesion in enumerate(found, start=1))


def longest_diameter_mm(voxels: npt.NDArray[np.int64], affine: npt.NDArray[np.float64]) -> float:
    """Longest distance in mm between two points on a lesion's surface (maximum 3-D Feret diameter).

    The surface points are the centres of the voxels' faces: the vertices of the marching-cubes surface at one
    half, on which the Image Biomarker Standardisation Initiative defines its maximum 3-D diameter. Voxel
    corners would overstate a ball by up to a voxel's diagonal, voxel centres would make a single voxel 0 mm long.
    A row of 4 voxels of 1 mm is 4 mm long; of 10 voxels of 0.9 mm in one slice of 5.5 mm,
    sqrt(8.1^2 + 5.5^2) = 9.8 mm.

    Args:
        voxels: (n, 3) voxel indices.
        affine: (4, 4) voxel index to mm.
    """
    columns = _ends_of_columns(voxels)
    points = (2 * columns[:, None, :] + _FACES[None, :, :]).reshape(-1, 3)
    if len(points) > _HULL_PAYS_ABOVE:
        # The farthest two points of a set are vertices of its hull. Six face centres a voxel are never coplanar.
        points = points[ConvexHull(points).vertices]
    return float(pdist(points @ (affine[:3, :3].T / 2)).max())


def lesions_csv(lesions: Sequence[Lesion], models: int = 0) -> str:
    """The table as CSV, one row a lesion, units in the column names; no lesions, no rows.

    Of an ensemble of so many models two columns more: `found_by_models`, `models`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, *_ENSEMBLE_COLUMNS) if models else _COLUMNS)
    for lesion in lesions:
        writer.writerow(
            [
                lesion.number,
                lesion.label,
                f"{lesion.volume_mm3:.2f}",
                f"{lesion.longest_diameter_mm:.2f}",
                *(f"{value:.2f}" for value in lesion.centre_mm),
                f"{lesion.mean_probability:.4f}",
                *([lesion.found_by, models] if models else []),
            ]
        )
    return text.getvalue()


def _measure(
    voxels: npt.NDArray[np.int64], probability: npt.NDArray[np.float32], grid: Grid, label: str
) -> Lesion:
    x, y, z = (float(value) for value in grid.affine[:3, :3] @ voxels.mean(axis=0) + grid.affine[:3, 3])
    return Lesion(
        number=0,
        label=label,
        volume_mm3=len(voxels) * grid.voxel_volume_mm3,
        longest_diameter_mm=longest_diameter_mm(voxels, grid.affine),
        centre_mm=(x, y, z),
        mean_probability=float(probability[tuple(voxels.T)].mean()),
    )


def _found_by(voxels: npt.NDArray[np.int64], klass: int, finders: Sequence[npt.NDArray[np.uint8]]) -> int | None:
    """By the metrics' rule: one shared voxel finds a lesion."""
    if not finders:
        return None
    return sum(bool((mask[tuple(voxels.T)] == klass).any()) for mask in finders)


def _components(mask: npt.NDArray[np.uint8]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Class index and (n, 3) voxel indices of every component; touching classes are components apart."""
    labelled = cc3d.connected_components(mask, connectivity=26)
    voxels = np.argwhere(labelled)
    ids = labelled[tuple(voxels.T)]
    order = np.argsort(ids, kind="stable")
    starts = np.flatnonzero(np.diff(ids[order], prepend=0))
    for members in np.split(order, starts[1:]) if len(order) else []:
        component = voxels[members]
        yield int(mask[tuple(component[0])]), component


def _ends_of_columns(voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The first and last voxel of every column along the third axis: the others cannot be extreme."""
    order = np.lexsort((voxels[:, 2], voxels[:, 1], voxels[:, 0]))
    ordered = voxels[order]
    new_column = np.any(np.diff(ordered[:, :2], axis=0, prepend=-1) != 0, axis=1)
    first = np.flatnonzero(new_column)
    last = np.append(first[1:], len(ordered)) - 1
    return np.unique(np.concatenate([ordered[first], ordered[last]]), axis=0)
