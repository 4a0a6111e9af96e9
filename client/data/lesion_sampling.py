"""Sampling that favours small lesions: a patch is centred on a lesion that is drawn by its size.

By nnU-Net's rule a voxel of foreground is drawn, so that a metastasis of 2 mL is seen a thousand times as often as
one of 2 mm3. Here the lesion is drawn, from all of a site's training cases at once, so that cases with many small
lesions come up more often too. After the adaptive sampling of the extended nnU-Net for 2,092 patients, whose
formula is not at hand: the weight is this project's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt

from client.data.case import PreparedCase
from common.plan import TrainingSpec


@dataclass(frozen=True, slots=True)
class LesionTable:
    """Every lesion of a site's training cases, ready to be drawn.

    Attributes:
        cases: the site's; `numbers` holds the lesion of each of a case's lesion voxels.
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


def table_of_lesions(cases: Sequence[PreparedCase], spec: TrainingSpec) -> LesionTable | None:
    """List the lesions of a site's cases; None where there is none.

    A lesion of V mm3 is drawn with a probability in proportion to max(V, floor)^-exponent, the plan's
    `small_lesion_floor_mm3` and `small_lesion_exponent`. Exponent 0 draws all alike. At 0.5 and a floor of 14 mm3
    lesions of 2, 14 and 1400 mm3 are drawn as 10 : 10 : 1.
    """
    numbers = tuple(_numbers(case) for case in cases)
    counts = [np.bincount(own)[1:] for own in numbers]  # numbers begin at 1
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


def number_lesions(label: npt.NDArray[np.uint8], voxels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """(n,) number of the lesion, from 1, of each foreground voxel (n, 3) of a label (X, Y, Z).

    A lesion is a 26-connected component of one label index: a metastasis whose rim and core are drawn apart counts
    as two, and oedema does not join those that it flows around.
    """
    if not len(voxels):
        return np.zeros(0, np.int32)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    box = np.ascontiguousarray(label[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    found = cc3d.connected_components(box, connectivity=26, out_dtype=np.uint32)
    return np.asarray(found[tuple((voxels - low).T)], dtype=np.int32)


def _numbers(case: PreparedCase) -> npt.NDArray[np.int32]:
    """As stored, or counted now for a case that was prepared before they were."""
    if case.lesion_numbers is not None:
        return case.lesion_numbers
    assert case.label is not None  # the sampler has refused others
    return number_lesions(case.label, case.lesion_voxels)
