"""Sampling that favours small lesions: a patch is centred on a lesion that is drawn by its size.

By nnU-Net's rule a voxel of foreground is drawn, so that a metastasis of 2 mL is seen a thousand times as often as
one of 2 mm3. Here the lesion is drawn, from all of a site's training cases at once, so that cases with many small
lesions come up more often too. After the adaptive sampling of the extended nnU-Net for 2,092 patients, whose
formula is not at hand: the weight is this project's own.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.data.case import PreparedCase
from client.data.label_table import where_any
from common.label_meanings import indices_within
from common.metrics.detection import label_lesions
from common.plan import TrainingSpec


@dataclass(frozen=True, slots=True)
class LesionTable:
    """Every lesion of a site's training cases, ready to be drawn.

    Attributes:
        cases: the site's; `numbers` holds the lesion of each of a case's lesion voxels, 0 for none.
        case_of, number_of: (n,) which case a lesion is of, and its number there.
        volume_mm3: (n,) on the prepared grid.
        probability: (n,) of being drawn.
    """

    cases: tuple[PreparedCase, ...]
    numbers: tuple[npt.NDArray[np.int32], ...]
    case_of: npt.NDArray[np.int64]
    number_of: npt.NDArray[np.int64]
    volume_mm3: npt.NDArray[np.float64]
    probability: npt.NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[PreparedCase, npt.NDArray[np.int32]]:
        """A case and the voxel (3,) of it that a patch is to be centred on: any voxel of the drawn lesion."""
        lesion = int(np.searchsorted(np.cumsum(self.probability), rng.random(), side="right"))
        lesion = min(lesion, len(self.probability) - 1)  # the sum may round to just below 1
        case = int(self.case_of[lesion])
        own = np.flatnonzero(self.numbers[case] == self.number_of[lesion])
        voxel = self.cases[case].lesion_voxels[own[rng.integers(len(own))]]
        return self.cases[case], voxel


def table_of_lesions(
    cases: Sequence[PreparedCase], spec: TrainingSpec, tumour: Set[int] = frozenset()
) -> LesionTable | None:
    """List the lesions of a site's cases; None where there is none.

    A lesion of V mm3 is drawn with a probability in proportion to max(V, floor)^-exponent, the plan's
    `small_lesion_floor_mm3` and `small_lesion_exponent`. Exponent 0 draws all alike. At 0.5 and a floor of 14 mm3
    lesions of 2, 14 and 1400 mm3 are drawn as 10 : 10 : 1. `tumour` are the plan's classes that lesions are made
    of, () for all.
    """
    numbers = tuple(_numbers(case, tumour) for case in cases)
    counts = [np.bincount(own)[1:] for own in numbers]  # 0 is no lesion
    voxels = np.concatenate(counts)
    if not voxels.size:
        return None
    edges = [case.grid.voxel_volume_mm3 for case in cases]
    volume_mm3 = voxels * np.repeat(edges, [len(own) for own in counts])
    size = np.maximum(volume_mm3, spec.small_lesion_floor_mm3)
    weight = (size / size.min()) ** -spec.small_lesion_exponent  # a steep power leaves the smallest its 1
    return LesionTable(
        cases=tuple(cases),
        numbers=numbers,
        case_of=np.repeat(np.arange(len(counts)), [len(own) for own in counts]),
        number_of=np.concatenate([np.arange(1, len(own) + 1) for own in counts]),
        volume_mm3=volume_mm3,
        probability=weight / weight.sum(),
    )


def number_lesions(
    label: npt.NDArray[np.uint8], voxels: npt.NDArray[np.int32], tumour: Set[int] = frozenset()
) -> npt.NDArray[np.int32]:
    """(n,) number of the lesion, from 1, of each foreground voxel (n, 3) of a label (X, Y, Z); 0 for none.

    A lesion is a 26-connected component of the label indices in `tumour` together, () standing for all: the core
    and the rim of a metastasis are one, and oedema, where it is no tumour, neither is a lesion nor joins two.
    """
    if not len(voxels):
        return np.zeros(0, np.int32)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    box = label[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    found, _ = label_lesions(where_any(box, tumour))
    return np.asarray(found[tuple((voxels - low).T)], dtype=np.int32)


def _numbers(case: PreparedCase, tumour: Set[int]) -> npt.NDArray[np.int32]:
    """As stored, or counted now for a case that was made elsewhere than by `prepare`."""
    if case.lesion_numbers is not None:
        return case.lesion_numbers
    assert case.label is not None  # the sampler has refused others
    return number_lesions(case.label, case.lesion_voxels, indices_within(case.meanings, tumour))
