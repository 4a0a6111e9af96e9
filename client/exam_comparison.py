"""Two label files of one patient on one grid: what became of each lesion, and the response by RANO-BM."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from client.data.case import Grid
from client.data.grids import describe_grid, same_grid
from client.data.label_table import where_any
from client.label_file import read_label_file
from common.errors import DataError
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
        DataError: a file cannot be read or holds no labels, or the grids differ (both are named).
    """
    earlier, later = read_label_file(first), read_label_file(second)
    if not same_grid(earlier.grid, later.grid):
        raise DataError(
            f"{first} ({describe_grid(earlier.grid)}) and {second} ({describe_grid(later.grid)}) lie on different "
            "grids: register the two exams rigidly and resample one label to the other's grid"
        )
    changes = match_exams(
        where_any(earlier.values, labels),
        where_any(later.values, labels),
        earlier.grid.spacing_mm,
        _slice_axis(earlier.grid),
    )
    return ExamComparison(changes, follow_targets(changes), earlier.grid)


def _slice_axis(grid: Grid) -> int:
    return int(np.flatnonzero(nib.orientations.io_orientation(grid.affine)[:, 0] == _SUPERIOR)[0])
