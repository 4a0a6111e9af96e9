"""Partition by a column of the cases' metadata: one site per primary cancer, field strength or sex."""

from collections.abc import Mapping, Sequence

from client.data.case import Case
from common.errors import DataError
from simulation.partition.assignment import Assignment, assign_patients, exams_by_patient
from simulation.partition.config import MetadataColumn, MetadataPartition
from simulation.partition.names import natural_order, site_name

OTHER, UNKNOWN = "other", "unknown"


def by_metadata(section: MetadataPartition, cases: Sequence[Case]) -> Assignment:
    """One site per value; values with fewer than `min_patients` patients together are the site `other`.

    A patient's value is that of the first exam (in order of name) that has one; without any it is `unknown`.
    A site `other` without a single case that may be usable is none: its patients are left out. With Breast 7,
    Lung 6, Renal 2, Colon 1 patients and min_patients = 5: sites breast, lung and other (3).

    Raises:
        DataError: no case has a value in the column, or no value has enough patients.
    """
    by_patient = exams_by_patient(cases)
    members: dict[str, list[str]] = {}
    for patient, exams in by_patient.items():
        members.setdefault(_first_value(exams, section.column), []).append(patient)
    if set(members) <= {UNKNOWN}:
        raise DataError(
            f"[partition] column = '{section.column}': none of the {len(cases)} cases has a value there; "
            "choose another column, or check the dataset's spreadsheet"
        )
    usable = {value: _with_images(patients, by_patient) for value, patients in members.items()}
    rare = {value for value, patients in usable.items() if patients < section.min_patients}
    if rare >= set(members) - {OTHER}:
        largest = max(usable.values())
        raise DataError(
            f"[partition] min_patients = {section.min_patients}: no value of '{section.column}' has that many "
            f"patients, the largest has {largest}; lower it"
        )
    return _merge(section, members, rare, by_patient)


def _merge(
    section: MetadataPartition,
    members: dict[str, list[str]],
    rare: set[str],
    by_patient: dict[str, tuple[Case, ...]],
) -> Assignment:
    merged = {value: members[value] for value in sorted(set(members) - rare, key=natural_order)}
    notes = []
    if rare:
        gathered = sorted([*merged.pop(OTHER, []), *(patient for value in rare for patient in members[value])])
        if _with_images(gathered, by_patient):
            merged[OTHER] = gathered
            notes.append(
                f"values of {section.column} with fewer than {section.min_patients} patients are merged into "
                f"'{OTHER}' ({len(gathered)} patients): {', '.join(sorted(rare))}"
            )
        else:
            notes.append(
                f"{len(gathered)} patients without a usable case and without {section.column} are at no site"
            )
    several = sum(len(_values(exams, section.column)) > 1 for exams in by_patient.values())
    if several:
        notes.append(
            f"{several} patients have exams with different {section.column}; "
            "each goes to one site by the first exam that has a value"
        )
    return assign_patients(by_patient, merged, tuple(notes))


def _with_images(patients: Sequence[str], by_patient: Mapping[str, Sequence[Case]]) -> int:
    """Patients with a case that may be usable: a site must not be made of broken cases alone."""
    return sum(any(case.sequences for case in by_patient[patient]) for patient in patients)


def _values(exams: Sequence[Case], column: MetadataColumn) -> list[str]:
    """The distinct values of a patient's exams, as site names, in order of exam."""
    named = (site_name(_text(case, column)).lower() for case in exams)
    return list(dict.fromkeys(name for name in named if name))


def _first_value(exams: Sequence[Case], column: MetadataColumn) -> str:
    return next(iter(_values(exams, column)), UNKNOWN)


def _text(case: Case, column: MetadataColumn) -> str:
    """The value as text: 3.0 T is "3t", a missing one is ""."""
    if column == "field_strength_t":
        strength = case.metadata.field_strength_t
        return "" if strength is None else f"{strength:g}t"
    return (case.metadata.primary_cancer if column == "primary_cancer" else case.metadata.sex) or ""
