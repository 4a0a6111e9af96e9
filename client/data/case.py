"""One examination of one patient, as files; and the same, prepared, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.errors import CaseReason
from common.label_meanings import Meanings


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a dataset knows of an exam; None where it says nothing."""

    age_years: float | None = None
    sex: str | None = None
    primary_cancer: str | None = None
    field_strength_t: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """An exam on disk.

    Attributes:
        patient: identity for splitting; all exams of a patient stay together.
        exam: unique within the dataset; the case's folder name.
        sequences: file by sequence name (t1, t1c, t2, flair, subtraction).
        label: segmentation file, or None at inference.
        brain_mask: given brain mask, or None.
        spacing_mm: from the first sequence's header; None when that cannot be read (preparation will say why).
        metadata: whatever the dataset's table has.
    """

    patient: str
    exam: str
    sequences: Mapping[str, Path]
    label: Path | None = None
    brain_mask: Path | None = None
    spacing_mm: tuple[float, float, float] | None = None
    metadata: Metadata = field(default_factory=Metadata)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A case that cannot be used, and why. Stays at the site; only counts by reason leave."""

    patient: str
    exam: str
    reason: CaseReason
    detail: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What an adapter found: usable-looking cases in order of exam, and those already known to be bad."""

    cases: tuple[Case, ...]
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Which label values are legal and what they become.

    Attributes:
        mapping: value in the file to label index; 0 to 0 is implied.
        ignored: values that become background.
        meanings: classes of the plan that a label index may be, by index (common.model.losses.target); () where
            every index is the class of its number. The sets of a site come after the plan's K classes: K + 1, ...
    Any other value makes the case ILLEGAL_LABEL.
    """

    mapping: Mapping[int, int]
    ignored: frozenset[int] = frozenset()
    meanings: Meanings = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """A voxel grid in scanner space.

    Attributes:
        shape: voxels along the three array axes.
        affine: (4, 4) float64, voxel index to scanner coordinates in mm (RAS+).
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths: the norms of the affine's columns."""
        x, y, z = (float(np.linalg.norm(self.affine[:3, axis])) for axis in range(3))
        return (x, y, z)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


@dataclass(frozen=True, slots=True)
class PreparedCase:
    """A case as arrays on the plan's grid (RAS axes, plan's spacing, cropped to the brain); memory-mapped.

    Attributes:
        patient, exam, metadata: as in Case.
        image: (sequences, X, Y, Z) float32, z-scored inside the mask, 0 outside and where a sequence is absent.
        label: (X, Y, Z) uint8 label indices, or None.
        mask: (X, Y, Z) uint8, 1 in the brain.
        grid: the prepared grid.
        native: grid of the first sequence's file, untouched orientation: where predictions go back to.
        reference: the label on the native grid, uint8 class indices, or None; what scores are computed against.
        lesion_voxels: (n, 3) int32 voxel indices of all foreground on the prepared grid, for oversampling.
        lesion_numbers: (n,) int32, which lesion each of these voxels belongs to, from 1, a component of what
            counts as tumour; 0 for voxels of none, such as oedema. None for a case made elsewhere than by
            `prepare`, where they are counted when needed.
        meanings: what the indices of label and reference stand for; () where each is the class of its number.
        absent_channels: channels of optional sequences that the case lacks, in order; they are 0 everywhere.
    """

    patient: str
    exam: str
    metadata: Metadata
    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8] | None
    mask: npt.NDArray[np.uint8]
    grid: Grid
    native: Grid
    reference: npt.NDArray[np.uint8] | None
    lesion_voxels: npt.NDArray[np.int32]
    lesion_numbers: npt.NDArray[np.int32] | None = None
    meanings: Meanings = ()
    absent_channels: tuple[int, ...] = ()
