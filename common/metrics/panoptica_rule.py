"""Lesion-wise scores by the rule of BraTS-METS 2025 and 2026: large lesions are drawn, small ones are found.

Lesions are 26-connected components, matched one to one. Dice, HD95 and NSD are means over the large lesions that
were matched; the small lesions have an F1. A missed large lesion lowers no mean, unless all were missed: read the
counts beside the means.

Source: the challenge's evaluation, panoptica with `--vol_threshold 27 --overlap_threshold 0.2`.
Every axis has its own spacing here; that program was seen to take the spacings in reverse order of axes, which
changes its HD95 and NSD where voxels are not cubes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.metrics.detection import label_lesions
from common.metrics.instances import InstanceBoxes, count_overlaps, match_one_to_one
from common.metrics.lesion_counts import LesionCounts
from common.metrics.overlap import Mask, crop_to_content
from common.metrics.panoptic import mean
from common.metrics.scores import SMALL_MM3
from common.metrics.surface import border_distances_mm, pooled_95th, shares_within
from common.metrics.surfels import Spacing

PENALTY_MM = 373.0


@dataclass(frozen=True, slots=True)
class PanopticaRule:
    """The thresholds.

    Attributes:
        large_from_mm3: a reference lesion of this volume or more is large.
        small_dice: from this Dice on a matched small lesion counts as found.
        penalty_mm: HD95 when no large lesion was matched.
    """

    large_from_mm3: float = SMALL_MM3
    small_dice: float = 0.2
    penalty_mm: float = PENALTY_MM


PANOPTICA_2025 = PanopticaRule()


@dataclass(frozen=True, slots=True)
class MatchedLesion:
    """One reference lesion and the predicted component matched with it.

    Attributes:
        volume_mm3: of the reference lesion.
        matched: whether it has a partner; without one the rest is 0.0, infinity and 0.0.
        dice: of the pair.
        hd95_mm: `surface.hd95_pooled_mm`.
        nsd: `surface.normalised_surface_dice` within the smallest voxel edge.
    """

    volume_mm3: float
    matched: bool
    dice: float
    hd95_mm: float
    nsd: float


@dataclass(frozen=True, slots=True)
class PanopticaScores:
    """The lesions of one region of one case under a rule.

    Attributes:
        lesions: every reference lesion.
        false_positives: predicted components without a partner.
        rule: the thresholds.
    """

    lesions: tuple[MatchedLesion, ...]
    false_positives: int
    rule: PanopticaRule

    @property
    def counts(self) -> LesionCounts:
        """Lesions of any size: matched, invented, missed."""
        matched = sum(lesion.matched for lesion in self.lesions)
        return LesionCounts(tp=matched, fp=self.false_positives, fn=len(self.lesions) - matched)

    @property
    def large_dice(self) -> float | None:
        """Mean Dice of the matched large lesions; 0.0 if none was matched, None if there is none."""
        return self._large_mean([lesion.dice for lesion in self._large_matched()], missed=0.0)

    @property
    def large_hd95_mm(self) -> float | None:
        """Mean HD95 of the matched large lesions; the penalty if none was matched, None if there is none."""
        return self._large_mean([lesion.hd95_mm for lesion in self._large_matched()], self.rule.penalty_mm)

    @property
    def large_nsd(self) -> float | None:
        """Mean NSD of the matched large lesions; 0.0 if none was matched, None if there is none."""
        return self._large_mean([lesion.nsd for lesion in self._large_matched()], missed=0.0)

    @property
    def small_counts(self) -> LesionCounts | None:
        """Small lesions found and missed, with every false positive of the case; None without small lesions."""
        small = [lesion for lesion in self.lesions if not self._is_large(lesion)]
        if not small:
            return None
        found = sum(lesion.matched and lesion.dice >= self.rule.small_dice for lesion in small)
        return LesionCounts(tp=found, fp=self.false_positives, fn=len(small) - found)

    @property
    def small_f1(self) -> float | None:
        """F1 of `small_counts`: 3 found, 1 missed and 2 false positives of any size are 6 / 9."""
        counts = self.small_counts
        return counts.f1 if counts is not None else None

    def _is_large(self, lesion: MatchedLesion) -> bool:
        return lesion.volume_mm3 >= self.rule.large_from_mm3

    def _large_matched(self) -> list[MatchedLesion]:
        return [lesion for lesion in self.lesions if lesion.matched and self._is_large(lesion)]

    def _large_mean(self, values: Sequence[float], missed: float) -> float | None:
        if not any(self._is_large(lesion) for lesion in self.lesions):
            return None
        average = mean(values)
        return missed if average is None else average


def score_panoptica(
    prediction: Mask, reference: Mask, spacing_mm: Spacing, rule: PanopticaRule = PANOPTICA_2025
) -> PanopticaScores:
    """Score one region by the rule.

    Edge cases: both empty, no lesion and no false positive, every mean None; an empty prediction Dice 0 and the
    penalty if there was a large lesion.

    Args:
        prediction: (X, Y, Z), whatever is not 0 is foreground; likewise `reference`.
        reference: the same grid.
        spacing_mm: edges of its voxels.
        rule: the thresholds.

    Raises:
        ValueError: the shapes differ.
    """
    predicted, expected = (label_lesions(mask)[0] for mask in crop_to_content(prediction, reference))
    overlaps = count_overlaps(predicted, expected)
    pairs = dict(match_one_to_one(overlaps))
    boxes = InstanceBoxes(predicted, expected)
    voxel_mm3 = math.prod(spacing_mm)
    lesions = []
    for number, voxels in sorted(overlaps.reference_voxels.items()):
        volume_mm3 = voxels * voxel_mm3
        if number not in pairs:
            lesions.append(MatchedLesion(volume_mm3, False, 0.0, math.inf, 0.0))
            continue
        pair = (number, pairs[number])
        there, back = border_distances_mm(*boxes.masks(pair), spacing_mm)
        nsd = shares_within(there, back, min(spacing_mm))
        lesions.append(MatchedLesion(volume_mm3, True, overlaps.dice(pair), pooled_95th(there, back), nsd))
    return PanopticaScores(tuple(lesions), len(overlaps.predicted_voxels) - len(pairs), rule)
