"""Scores of one case, and their summary over cases.

Dice is the mean over cases. Sensitivity and precision are shares of all lesions of all cases together, so a
case with thirty metastases counts thirty times in them: a mean over cases would let every single-lesion exam
outweigh it. False positives are a mean over scans.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from common.metrics.detection import match_lesions
from common.metrics.overlap import Mask, crop_to_content, dice, require_same_shape

SMALL_MM3 = 27.0  # a sphere of 3.7 mm; below it the BraTS-METS rules treat a lesion as small
LARGE_MM3 = 275.0  # a sphere of 8.1 mm; a fifth of published metastases are larger
VOLUME_BANDS = ("under_27", "27_to_275", "over_275")


@dataclass(frozen=True, slots=True)
class LesionScore:
    """One reference lesion, and whether it was found under detection.MATCHING_RULE."""

    volume_mm3: float
    detected: bool


@dataclass(frozen=True, slots=True)
class CaseScores:
    """How one prediction compares with its reference.

    Attributes:
        patient, exam, site: whose; `site` is where the case lies, not where the model was trained.
        dice: voxel Dice, 1.0 when both masks are empty.
        lesions: the reference lesions.
        predicted_lesions: number of predicted components.
        false_positives: those of them that touch no reference voxel.
        lesionwise_dice, lesionwise_hd95_mm: by the BraTS-METS 2023/24 rule, `lesionwise.Lesionwise`; None where
            not asked for.
    """

    patient: str
    exam: str
    site: str
    dice: float
    lesions: tuple[LesionScore, ...]
    predicted_lesions: int
    false_positives: int
    lesionwise_dice: float | None = None
    lesionwise_hd95_mm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        return {**asdict(self), "lesions": [[lesion.volume_mm3, lesion.detected] for lesion in self.lesions]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CaseScores":
        """The inverse of `to_dict`."""
        lesions = tuple(LesionScore(float(volume), bool(detected)) for volume, detected in values["lesions"])
        return cls(**{**values, "lesions": lesions})


@dataclass(frozen=True, slots=True)
class Share:
    """A share of lesions found, None when there is no lesion to find."""

    value: float | None
    lesions: int


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Scores over cases; None where nothing could be scored (no case, no lesion, no prediction).

    Attributes:
        cases, lesions: how many were scored.
        dice: mean over cases.
        lesion_sensitivity: found lesions over all lesions.
        lesion_precision: predicted components that touch a lesion over all predicted components.
        fp_per_scan: false positives over cases.
        sensitivity_by_volume: a Share for each of VOLUME_BANDS (mm3; 27 and 275 belong to the middle band).
        lesionwise_dice, lesionwise_hd95_mm: means over the cases that have them.
    """

    cases: int
    lesions: int
    dice: float | None
    lesion_sensitivity: float | None
    lesion_precision: float | None
    fp_per_scan: float | None
    sensitivity_by_volume: Mapping[str, Share]
    lesionwise_dice: float | None = None
    lesionwise_hd95_mm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        bands = {band: asdict(share) for band, share in self.sensitivity_by_volume.items()}
        return {
            "cases": self.cases,
            "lesions": self.lesions,
            "dice": self.dice,
            "lesion_sensitivity": self.lesion_sensitivity,
            "lesion_precision": self.lesion_precision,
            "fp_per_scan": self.fp_per_scan,
            "lesionwise_dice": self.lesionwise_dice,
            "lesionwise_hd95": self.lesionwise_hd95_mm,
            "sensitivity_by_volume": bands,
        }


def volume_band(volume_mm3: float) -> str:
    """The band of VOLUME_BANDS: 26.9 is under_27, 27 and 275 are 27_to_275, 275.1 is over_275."""
    if volume_mm3 < SMALL_MM3:
        return "under_27"
    return "27_to_275" if volume_mm3 <= LARGE_MM3 else "over_275"


def score_case(
    prediction: Mask, reference: Mask, voxel_volume_mm3: float, patient: str, exam: str, site: str
) -> CaseScores:
    """Score one prediction against its reference.

    Args:
        prediction: (X, Y, Z), whatever is not 0 is foreground; likewise `reference`.
        reference: the same grid.
        voxel_volume_mm3: of that grid.
        patient: kept in the record, as are `exam` and `site`.

    Raises:
        ValueError: the shapes differ (both are named), or the voxel volume is not positive.
    """
    require_same_shape(prediction, reference, where=f"case {exam} of site {site}: ")
    if not voxel_volume_mm3 > 0.0:
        raise ValueError(f"case {exam} of site {site}: voxel_volume_mm3 must be above 0, got {voxel_volume_mm3}")
    predicted, expected = crop_to_content(prediction, reference)
    found = match_lesions(predicted, expected)
    lesions = tuple(
        LesionScore(float(voxels) * voxel_volume_mm3, bool(detected))
        for voxels, detected in zip(found.reference_voxels, found.detected, strict=True)
    )
    overlap = dice(predicted, expected)
    return CaseScores(patient, exam, site, overlap, lesions, found.predicted_lesions, found.false_positives)


def summarise(scores: Sequence[CaseScores]) -> ScoreSummary:
    """Summarise cases; an empty sequence gives 0 cases and None for every score."""
    lesions = [lesion for score in scores for lesion in score.lesions]
    predicted = sum(score.predicted_lesions for score in scores)
    false = sum(score.false_positives for score in scores)
    by_band: dict[str, list[LesionScore]] = {band: [] for band in VOLUME_BANDS}
    for lesion in lesions:
        by_band[volume_band(lesion.volume_mm3)].append(lesion)
    return ScoreSummary(
        cases=len(scores),
        lesions=len(lesions),
        dice=_ratio(sum(score.dice for score in scores), len(scores)),
        lesion_sensitivity=_found(lesions).value,
        lesion_precision=_ratio(predicted - false, predicted),
        fp_per_scan=_ratio(false, len(scores)),
        sensitivity_by_volume={band: _found(members) for band, members in by_band.items()},
        lesionwise_dice=_mean_of_known([score.lesionwise_dice for score in scores]),
        lesionwise_hd95_mm=_mean_of_known([score.lesionwise_hd95_mm for score in scores]),
    )


def _found(lesions: Sequence[LesionScore]) -> Share:
    return Share(_ratio(sum(lesion.detected for lesion in lesions), len(lesions)), len(lesions))


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _ratio(sum(known), len(known))


def _ratio(numerator: float, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
