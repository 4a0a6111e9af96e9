"""The groups that patients are divided into: site, sex, age 60, primary cancer, field strength, lesion burden.

Every patient stands in exactly one group of every field, `unknown` where the dataset says nothing, so that each
field's numbers add up to the cohort's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from common.metrics.scores import CaseScores
from common.statistics.patients import PatientKey, PatientScores, scores_by_patient

FIELDS = ("site", "sex", "age", "primary_cancer", "field_strength", "lesion_burden")
UNKNOWN = "unknown"
AGE_YEARS = 60.0
_AGES = ("under 60", "60 and over")
_BURDENS = ("no lesion", "1 lesion", "2 to 4 lesions", "5 to 10 lesions", "over 10 lesions")
_SEXES = {"f": "female", "m": "male", "w": "female"}

Groups: TypeAlias = Mapping[str, tuple[PatientScores, ...]]
"""Patients by group, in the order in which a table shows the groups."""


class Traits(Protocol):
    """What a dataset knows of an exam; None where it says nothing."""

    @property
    def age_years(self) -> float | None:
        """Age at the exam."""

    @property
    def sex(self) -> str | None:
        """In any spelling that begins like female, woman or male."""

    @property
    def primary_cancer(self) -> str | None:
        """As the dataset writes it."""

    @property
    def field_strength_t(self) -> float | None:
        """Of the scanner, in tesla."""


TraitsByExam: TypeAlias = Mapping[tuple[str, str], Traits]
"""By site and exam; an exam that is not there is `unknown` in every field that needs it."""


def group_patients(scores: Sequence[CaseScores], traits: TraitsByExam) -> dict[str, Groups]:
    """Divide the patients by each of FIELDS, empty groups left out.

    A patient with several exams stands where the first exam (in order of name) stands: age 59 and later 60 is
    "under 60". Lesion burden is the number of reference lesions of that exam: 4 is "2 to 4 lesions".
    """
    patients = scores_by_patient(scores)
    return {field: _divide(field, patients, traits) for field in FIELDS}


def _divide(field: str, patients: Mapping[PatientKey, PatientScores], traits: TraitsByExam) -> Groups:
    groups: dict[str, list[PatientScores]] = {}
    for own in patients.values():
        groups.setdefault(group_of(field, own, traits.get((own.site, own.first_exam))), []).append(own)
    fixed = [*_AGES, *_BURDENS]
    order = sorted(groups, key=lambda name: (name == UNKNOWN, fixed.index(name) if name in fixed else -1, name))
    return {name: tuple(groups[name]) for name in order}


def group_of(field: str, patient: PatientScores, traits: Traits | None) -> str:
    """The group of one patient in one of FIELDS; sex "F" is female, 59.9 years are under 60, 3.0 T is "3 T"."""
    if field == "site":
        return patient.site
    if field == "lesion_burden":
        return _burden(patient.first_burden)
    return UNKNOWN if traits is None else _OF_TRAITS[field](traits) or UNKNOWN


def _sex(traits: Traits) -> str | None:
    return _SEXES.get((traits.sex or "").strip().lower()[:1])


def _age(traits: Traits) -> str | None:
    return None if traits.age_years is None else _AGES[traits.age_years >= AGE_YEARS]


def _primary_cancer(traits: Traits) -> str | None:
    return " ".join((traits.primary_cancer or "").lower().split())


def _field_strength(traits: Traits) -> str | None:
    return None if traits.field_strength_t is None else f"{traits.field_strength_t:g} T"


_OF_TRAITS: Mapping[str, Callable[[Traits], str | None]] = {
    "sex": _sex,
    "age": _age,
    "primary_cancer": _primary_cancer,
    "field_strength": _field_strength,
}


def _burden(lesions: int) -> str:
    """1, 2 to 4 and 5 to 10 are how the radiosurgery trial JLGK0901 divided its patients (Yamamoto 2014)."""
    place = sum(lesions > most for most in (0, 1, 4, 10))
    return _BURDENS[place]
