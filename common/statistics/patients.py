"""Scores by patient: the unit that is independent of the next, unlike exams, lesions and voxels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from common.metrics.scores import CaseScores

PatientKey: TypeAlias = tuple[str, str]
"""Site and patient: sites may number their patients alike."""


@dataclass(frozen=True, slots=True)
class PatientScores:
    """Sums over one patient's exams.

    Attributes:
        dice: summed over exams.
        first_exam: the first in order of name; a patient's group is that of this exam.
        first_burden: reference lesions of the first exam.
    """

    site: str
    patient: str
    first_exam: str
    first_burden: int
    cases: int
    dice: float
    lesions: int
    found: int
    false_positives: int

    @property
    def key(self) -> PatientKey:
        """Site and patient."""
        return (self.site, self.patient)

    @property
    def mean_dice(self) -> float:
        """Over the patient's exams."""
        return self.dice / self.cases

    @property
    def sensitivity(self) -> float | None:
        """Found lesions over lesions; None without lesions."""
        return self.found / self.lesions if self.lesions else None

    @property
    def fp_per_scan(self) -> float:
        """False positives over exams."""
        return self.false_positives / self.cases


def scores_by_patient(scores: Sequence[CaseScores]) -> dict[PatientKey, PatientScores]:
    """Gather exams by patient, sorted by site and patient."""
    exams: dict[PatientKey, list[CaseScores]] = {}
    for score in sorted(scores, key=lambda score: (score.site, score.patient, score.exam)):
        exams.setdefault((score.site, score.patient), []).append(score)
    return {key: _gathered(own) for key, own in exams.items()}


def _gathered(exams: Sequence[CaseScores]) -> PatientScores:
    first = exams[0]
    return PatientScores(
        site=first.site,
        patient=first.patient,
        first_exam=first.exam,
        first_burden=len(first.lesions),
        cases=len(exams),
        dice=float(sum(exam.dice for exam in exams)),
        lesions=sum(len(exam.lesions) for exam in exams),
        found=sum(lesion.detected for exam in exams for lesion in exam.lesions),
        false_positives=sum(exam.false_positives for exam in exams),
    )
