"""Lesion-wise Dice and HD95 by the rule of BraTS 2023 and 2024.

For every reference lesion the prediction is what it says near that lesion, whole predicted components together;
predicted components near no lesion are penalised as lesions of Dice 0.

Source: the BraTS 2023 evaluation (Moawad et al. 2023, arXiv:2306.00838; its published scoring program).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt

from common.metrics.detection import label_lesions
from common.metrics.dilation import dilate_18
from common.metrics.lesion_counts import LesionCounts
from common.metrics.overlap import Mask, content_box, require_same_shape
from common.metrics.surface import hd95_of_surfels_mm
from common.metrics.surfels import Spacing, Surfels, surfels_of

_Labels = npt.NDArray[np.uint32]
_Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class LesionwiseRule:
    """What differs between the challenges of one year.

    Attributes:
        dilations: voxels by which reference lesions are dilated (18 neighbours a step), both to join fragments
            into one lesion and to look for predicted components around it.
        above_mm3: reference lesions up to this volume count neither as found nor as missed.
        penalty_mm: HD95 of a missed and of an invented lesion.
    """

    dilations: int
    above_mm3: float
    penalty_mm: float = 374.0


BRATS_METS_2023 = LesionwiseRule(dilations=1, above_mm3=2.0)
BRATS_GLI_2023 = LesionwiseRule(dilations=3, above_mm3=50.0)


@dataclass(frozen=True, slots=True)
class ScoredLesion:
    """One reference lesion against the predicted components around it.

    Attributes:
        volume_mm3: of the lesion as drawn, not dilated.
        detected: whether any predicted component touches the dilated lesion.
        dice: 0.0 when missed.
        hd95_mm: `surface.hd95_directed_mm`; the rule's penalty when missed.
    """

    volume_mm3: float
    detected: bool
    dice: float
    hd95_mm: float


@dataclass(frozen=True, slots=True)
class Lesionwise:
    """The lesions of one region of one case under a rule.

    Attributes:
        lesions: reference lesions above the rule's volume.
        false_positives: predicted components near no reference lesion, however small that lesion.
        penalty_mm: the rule's.
    """

    lesions: tuple[ScoredLesion, ...]
    false_positives: int
    penalty_mm: float

    @property
    def dice(self) -> float:
        """Sum of Dice over lesions and false positives; 1.0 when there are neither.

        Lesions of 0.9 and 0 (missed) and one false positive: 0.9 / 3 = 0.3.
        """
        units = len(self.lesions) + self.false_positives
        return sum(lesion.dice for lesion in self.lesions) / units if units else 1.0

    @property
    def hd95_mm(self) -> float:
        """Mean of HD95 over lesions and false positives, these at the penalty; 0.0 when there are neither."""
        units = len(self.lesions) + self.false_positives
        total = sum(lesion.hd95_mm for lesion in self.lesions) + self.penalty_mm * self.false_positives
        return total / units if units else 0.0

    @property
    def counts(self) -> LesionCounts:
        """Lesions found, invented and missed."""
        found = sum(lesion.detected for lesion in self.lesions)
        return LesionCounts(tp=found, fp=self.false_positives, fn=len(self.lesions) - found)


def score_lesionwise(
    prediction: Mask, reference: Mask, spacing_mm: Spacing, rule: LesionwiseRule = BRATS_METS_2023
) -> Lesionwise:
    """Score one region by the rule.

    Reference lesions are 26-connected components, joined when their dilations touch. A lesion is found when a
    predicted component touches its dilation; one component may serve two lesions, and one lesion several
    components. Dice and HD95 compare those components, whole, with the lesion as drawn.

    Edge cases: both empty Dice 1, HD95 0; an empty prediction Dice 0, HD95 the penalty; an empty reference the
    same if anything was predicted.

    Args:
        prediction: (X, Y, Z), whatever is not 0 is foreground; likewise `reference`.
        reference: the same grid.
        spacing_mm: edges of its voxels.
        rule: the challenge's.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(prediction, reference)
    box = _grown(content_box((prediction != 0) | (reference != 0)), rule.dilations, prediction.shape)
    components = _Predicted(prediction[box], spacing_mm)
    expected = reference[box] != 0
    groups, _ = label_lesions(dilate_18(expected, rule.dilations))
    groups[~expected] = 0
    voxel_mm3 = math.prod(spacing_mm)
    lesions, claimed = [], set[int]()
    for number, place in _boxes(groups):
        wide = _grown(place, rule.dilations, groups.shape)
        lesion = groups[wide] == number
        near = dilate_18(lesion, rule.dilations)
        matches = frozenset(int(label) for label in np.unique(components.labels[wide][near]) if label)
        claimed |= matches
        volume_mm3 = int(np.count_nonzero(lesion)) * voxel_mm3
        if volume_mm3 > rule.above_mm3:
            missed = ScoredLesion(volume_mm3, False, 0.0, rule.penalty_mm)
            lesions.append(components.score(lesion, wide, matches, volume_mm3) if matches else missed)
    return Lesionwise(tuple(lesions), components.count - len(claimed), rule.penalty_mm)


class _Predicted:
    """Predicted components; the surface of those that several lesions share is made once."""

    def __init__(self, prediction: Mask, spacing_mm: Spacing) -> None:
        self.labels, self.count = label_lesions(prediction)
        self._spacing_mm = spacing_mm
        self._places = dict(_boxes(self.labels))
        self._voxels = np.bincount(self.labels.ravel(order="K"), minlength=self.count + 1)
        self._surfaces: dict[frozenset[int], Surfels] = {}

    def score(
        self, lesion: npt.NDArray[np.bool_], place: _Box, matches: frozenset[int], volume_mm3: float
    ) -> ScoredLesion:
        """Compare a lesion, a mask of the box `place`, with these components whole; there is at least one."""
        members = sorted(matches)
        shared = int(np.count_nonzero(np.isin(self.labels[place][lesion], members)))
        both = int(np.count_nonzero(lesion)) + int(self._voxels[members].sum())
        surface = surfels_of(lesion, self._spacing_mm, [edge.start for edge in place])
        hd95_mm = hd95_of_surfels_mm(self._surface(matches), surface, self._spacing_mm)
        return ScoredLesion(volume_mm3, True, 2.0 * shared / both, hd95_mm)

    def _surface(self, matches: frozenset[int]) -> Surfels:
        if matches not in self._surfaces:
            boxes = [self._places[match] for match in matches]
            box = tuple(
                slice(min(edge.start for edge in edges), max(edge.stop for edge in edges))
                for edges in zip(*boxes, strict=True)
            )
            mask = np.isin(self.labels[box], sorted(matches))
            self._surfaces[matches] = surfels_of(mask, self._spacing_mm, [edge.start for edge in box])
        return self._surfaces[matches]


def _boxes(labels: _Labels) -> Iterator[tuple[int, _Box]]:
    """Every component that has voxels, with the smallest box around it."""
    if labels.size == 0:
        return
    statistics = cc3d.statistics(labels)
    for number, box in enumerate(statistics["bounding_boxes"]):
        if number and statistics["voxel_counts"][number]:
            yield number, tuple(box)


def _grown(box: _Box, margin: int, shape: tuple[int, ...]) -> _Box:
    """The box with a margin, within the array: dilation ends at the scan's edge, as in a whole scan."""
    return tuple(
        slice(max(0, edge.start - margin), min(size, edge.stop + margin))
        for edge, size in zip(box, shape, strict=True)
    )
