"""Partitions drawn at random from a seed: alike sites, and sites unlike in lesion burden."""

from collections.abc import Mapping, Sequence

import numpy as np

from client.data.case import Case
from common.errors import DataError
from simulation.partition.assignment import Assignment, assign_patients, exams_by_patient
from simulation.partition.config import DirichletPartition, IidPartition
from simulation.partition.names import numbered


def by_chance(section: IidPartition, cases: Sequence[Case], rng: np.random.Generator) -> Assignment:
    """Shuffle the patients and deal them in turn: 10 patients to 4 sites are 3, 3, 2, 2.

    Raises:
        DataError: fewer patients than sites.
    """
    by_patient = exams_by_patient(cases)
    _require_patients(len(by_patient), section.sites, 1)
    shuffled = [str(patient) for patient in rng.permutation(list(by_patient))]
    members = {numbered(site + 1): shuffled[site :: section.sites] for site in range(section.sites)}
    return assign_patients(by_patient, members)


def by_dirichlet(
    section: DirichletPartition, cases: Sequence[Case], burden: Mapping[str, float], rng: np.random.Generator
) -> Assignment:
    """Sort patients by burden into strata of equal size, and deal each stratum by its own Dirichlet draw.

    A patient's burden is the mean over the exams that have one; patients without any are a stratum of their own.

    Args:
        section: sites, alpha, strata, min_patients.
        cases: all exams.
        burden: by exam, such as the total lesion volume in mm3.
        rng: the only source of chance; the same seed gives the same sites whatever the order of the cases.

    Raises:
        DataError: fewer patients than sites times min_patients.

    Source: label skew by Dirichlet draws, Hsu et al. 2019, arXiv:1909.06335, with strata of burden as classes.
    """
    by_patient = exams_by_patient(cases)
    _require_patients(len(by_patient), section.sites, section.min_patients)
    members: list[list[str]] = [[] for _ in range(section.sites)]
    for stratum in _strata(by_patient, burden, section.strata):
        shares = rng.dirichlet(np.full(section.sites, section.alpha))
        cuts = np.rint(np.cumsum(shares)[:-1] * len(stratum)).astype(int)
        for own, part in zip(members, np.split(rng.permutation(stratum), cuts), strict=True):
            own.extend(str(patient) for patient in part)
    moved = _fill_up(members, section.min_patients)
    notes = (
        (f"{moved} patients moved from the largest sites, so that each has {section.min_patients}",)
        if moved
        else ()
    )
    return assign_patients(by_patient, {numbered(i + 1): own for i, own in enumerate(members)}, notes)


def _strata(by_patient: Mapping[str, Sequence[Case]], burden: Mapping[str, float], strata: int) -> list[list[str]]:
    means = {}
    for patient, exams in by_patient.items():
        known = [burden[case.exam] for case in exams if case.exam in burden]
        if known:
            means[patient] = float(np.mean(known))
    ordered = sorted(means, key=lambda patient: (means[patient], patient))
    groups = [[str(patient) for patient in group] for group in np.array_split(ordered, strata)]
    unknown = [patient for patient in by_patient if patient not in means]
    return [group for group in (*groups, unknown) if group]


def _fill_up(members: list[list[str]], min_patients: int) -> int:
    """Move patients from the largest site to those with too few; returns how many were moved."""
    moved = 0
    for own in members:
        while len(own) < min_patients:
            own.append(max(members, key=len).pop())
            moved += 1
    return moved


def _require_patients(patients: int, sites: int, each: int) -> None:
    if patients < sites * each:
        raise DataError(
            f"[partition] sites = {sites}: with at least {each} a site that takes {sites * each} patients, "
            f"there are {patients}; ask for fewer sites"
        )
