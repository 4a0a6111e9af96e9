"""What every way of partitioning produces, and the grouping of exams by patient that all of them need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from client.data.case import Case


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which site gets which exam.

    Attributes:
        site_of: site by exam; an exam that is not here is left out.
        sites: the sites in the order of the plan.
        notes: what a reader of the results must know, a sentence each.
    """

    site_of: Mapping[str, str]
    sites: tuple[str, ...]
    notes: tuple[str, ...] = ()


def exams_by_patient(cases: Iterable[Case]) -> dict[str, tuple[Case, ...]]:
    """Each patient's exams, both in sorted order, whatever order the cases come in."""
    grouped: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: (case.patient, case.exam)):
        grouped.setdefault(case.patient, []).append(case)
    return {patient: tuple(exams) for patient, exams in grouped.items()}


def assign_patients(
    by_patient: Mapping[str, tuple[Case, ...]],
    members: Mapping[str, Iterable[str]],
    notes: tuple[str, ...] = (),
) -> Assignment:
    """All exams of a patient follow the patient; `members` lists the patients of every site, in order of site."""
    site_of = {
        case.exam: site
        for site, patients in members.items()
        for patient in patients
        for case in by_patient[patient]
    }
    return Assignment(site_of, tuple(members), notes)
