"""The lesions of one exam, measured and numbered from the largest down."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.metrics.detection import label_lesions
from common.metrics.diameters import longest_inplane_diameter_mm
from common.metrics.overlap import Mask


@dataclass(frozen=True, slots=True)
class MeasuredLesion:
    """A 26-connected component of one exam.

    Attributes:
        number: 1 for the largest of its exam.
        diameter_mm: longest within one slice.
        centre: mean voxel index.
    """

    number: int
    volume_mm3: float
    diameter_mm: float
    centre: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ExamLesions:
    """All lesions of an exam.

    Attributes:
        numbers: (X, Y, Z) lesion number of every voxel, 0 background.
        lesions: in order of number.
        voxels: (n, 3) voxel indices of each, in the same order.
        spacing_mm: voxel edges.
    """

    numbers: npt.NDArray[np.int64]
    lesions: tuple[MeasuredLesion, ...]
    voxels: tuple[npt.NDArray[np.int64], ...]
    spacing_mm: tuple[float, float, float]

    def voxels_mm(self, place: int) -> npt.NDArray[np.float64]:
        """(n, 3) voxel centres along the array axes in mm."""
        scaled: npt.NDArray[np.float64] = self.voxels[place] * np.asarray(self.spacing_mm)
        return scaled


def measure_exam(mask: Mask, spacing_mm: tuple[float, float, float], slice_axis: int) -> ExamLesions:
    """Volume, longest diameter within a slice and centre of every lesion, largest volume first.

    Args:
        mask: (X, Y, Z), whatever is not 0 is lesion.
        spacing_mm: voxel edges along the array axes.
        slice_axis: the array axis that counts slices.
    """
    labels, count = label_lesions(mask)
    places = np.argwhere(labels)
    owners = labels[tuple(places.T)]
    by_owner = np.argsort(owners, kind="stable")
    sizes = np.bincount(owners, minlength=count + 1)[1:]
    components = np.split(places[by_owner], np.cumsum(sizes)[:-1]) if count else []
    order = np.argsort(-sizes, kind="stable")
    renumbered = np.zeros(count + 1, np.int64)
    renumbered[order + 1] = np.arange(1, count + 1)
    voxels = tuple(components[place] for place in order)
    lesions = tuple(_measure(number, own, spacing_mm, slice_axis) for number, own in enumerate(voxels, start=1))
    return ExamLesions(renumbered[labels], lesions, voxels, spacing_mm)


def _measure(
    number: int, voxels: npt.NDArray[np.int64], spacing_mm: tuple[float, float, float], slice_axis: int
) -> MeasuredLesion:
    low = voxels.min(axis=0)
    box = np.zeros(tuple(np.ptp(voxels, axis=0) + 1), bool)
    box[tuple((voxels - low).T)] = True
    x, y, z = (float(value) for value in voxels.mean(axis=0))
    return MeasuredLesion(
        number=number,
        volume_mm3=len(voxels) * float(np.prod(spacing_mm)),
        diameter_mm=longest_inplane_diameter_mm(box, spacing_mm, slice_axis),
        centre=(x, y, z),
    )
