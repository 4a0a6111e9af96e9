"""Two label files of one patient on one grid: what became of each lesion, and the response by RANO-BM."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine

from client.data.case import Grid
from client.data.grids import same_grid
from client.data.quality import LABEL_TOLERANCE
from client.data.volume import Volume, read_volume
from common.errors import CaseReason, CaseRejected, DataError
from common.metrics.followup import LesionChange, match_exams
from common.metrics.target_lesions import FollowedTargets, follow_targets

_SUPERIOR = 2  # of right, anterior, superior


@dataclass(frozen=True, slots=True)
class ExamComparison:
    """What two exams come to.

    Attributes:
        changes: lesions over time, largest of the first exam first, new ones last.
        targets: sums of diameters and response, the first exam being baseline and nadir.
        grid: of both files.
    """

    changes: tuple[LesionChange, ...]
    targets: FollowedTargets
    grid: Grid

    def centre_mm(self, voxel: tuple[float, float, float]) -> tuple[float, float, float]:
        """A voxel index in scanner coordinates (RAS+)."""
        x, y, z = (float(value) for value in apply_affine(self.grid.affine, voxel))
        return (x, y, z)


def compare_exams(first: Path, second: Path, labels: frozenset[int] = frozenset()) -> ExamComparison:
    """Compare two exams that were registered rigidly and lie on one grid.

    Diameters are measured in the slices of the array axis that runs most nearly from foot to head.

    Args:
        first: NIfTI label file of the earlier exam.
        second: of the later one.
        labels: values that count as lesion; none given means every value but 0.

    Raises:
        DataError: a file cannot be read or holds fractions, or the grids differ (both are named).
    """
    earlier, later = _read(first), _read(second)
    if not same_grid(earlier.grid, later.grid):
        raise DataError(
            f"{first} ({_geometry(earlier.grid)}) and {second} ({_geometry(later.grid)}) lie on different grids: "
            "register the two exams rigidly and resample one label to the other's grid"
        )
    changes = match_exams(
        _lesions(earlier, first, labels),
        _lesions(later, second, labels),
        earlier.grid.spacing_mm,
        _slice_axis(earlier.grid),
    )
    return ExamComparison(changes, follow_targets(changes), earlier.grid)


def _read(path: Path) -> Volume:
    try:
        return read_volume(path, path.name, CaseReason.MISSING_LABEL)
    except CaseRejected as error:
        raise DataError(f"{error.reason}: {error.detail}") from None


def _lesions(volume: Volume, path: Path, labels: frozenset[int]) -> npt.NDArray[np.bool_]:
    values = np.asarray(volume.values)
    if not np.isfinite(values).all():
        raise DataError(f"{path}: the label holds NaN or infinity; export it again")
    odd = values[np.abs(values - np.rint(values)) > LABEL_TOLERANCE]
    if odd.size:
        raise DataError(f"{path}: value {float(odd[0]):g} is not a whole number; give a label file, not a map")
    whole = np.rint(values).astype(np.int64)
    return np.isin(whole, sorted(labels)) if labels else whole != 0


def _slice_axis(grid: Grid) -> int:
    return int(np.flatnonzero(nib.orientations.io_orientation(grid.affine)[:, 0] == _SUPERIOR)[0])


def _geometry(grid: Grid) -> str:
    shape = " x ".join(str(size) for size in grid.shape)
    spacing = " x ".join(f"{edge:.4g}" for edge in grid.spacing_mm)
    origin = ", ".join(f"{value:.4g}" for value in grid.affine[:3, 3])
    return f"shape {shape}, spacing {spacing} mm, origin {origin}"
