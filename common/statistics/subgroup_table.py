"""How well one model does in each group of patients, with what makes such tables mislead left out.

- The unit is the patient: intervals resample patients, tests compare patients, and n is the number of patients.
- Every test is between independent groups (Mann-Whitney): a group against all other patients whose value is known.
- All tests of the table are one family for Holm's correction, the unremarkable ones included.
- The size of an effect stands beside every p value.
- Dice stands once (F1 over voxels is the same number), voxel specificity not at all: with one voxel in ten
  thousand being tumour it is 1.000 for any model. False positives per scan say what it hides.
- Groups of every field add up to all patients; the unknown ones have their own row.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from common.metrics.intervals import BOOTSTRAP, bootstrap_intervals
from common.metrics.scores import CaseScores
from common.statistics.group_tests import GroupTest, compare_groups, sizes_of
from common.statistics.patients import PatientScores
from common.statistics.subgroups import Groups, TraitsByExam, group_patients
from common.statistics.suppression import FEWEST_PATIENTS, suppress_small

SHOWN = ("dice", "lesion_sensitivity", "fp_per_scan")
TEST = "Mann-Whitney on patients' mean Dice, the group against all other patients known; Holm over the table"


def subgroup_table(
    scores: Sequence[CaseScores], traits: TraitsByExam, seed: int, minimum: int = FEWEST_PATIENTS
) -> dict[str, Any]:
    """Dice, lesion sensitivity and false positives per scan by group, as plain JSON values.

    A suppressed group has `suppressed` true and None for everything else, its number of patients included. The
    lesion sensitivity of a group in which fewer than `minimum` patients have a lesion is None, with what would
    give it away. A test is made where both sides have `minimum` patients and neither is suppressed.
    """
    fields = group_patients(scores, traits)
    tests = compare_groups(fields, lambda patient: patient.mean_dice, minimum)
    table: dict[str, Any] = {}
    for field, groups in fields.items():
        hidden = suppress_small(sizes_of(groups), minimum).groups
        no_sensitivity = suppress_small(_with_lesions(groups), minimum).groups
        table[field] = [
            _suppressed_row(name)
            if name in hidden
            else {
                **_row(name, groups[name], scores, seed, name in no_sensitivity),
                **as_row(tests.get((field, name))),
            }
            for name in groups
        ]
    total = sum(sizes_of(fields["site"]).values())
    return {
        "minimum_patients": minimum,
        "patients": None if 0 < total < minimum else total,
        "intervals": BOOTSTRAP,
        "test": TEST,
        "fields": table,
    }


def _with_lesions(groups: Groups) -> dict[str, int]:
    return {name: sum(patient.lesions > 0 for patient in patients) for name, patients in groups.items()}


def _row(
    name: str, patients: Sequence[PatientScores], scores: Sequence[CaseScores], seed: int, no_sensitivity: bool
) -> dict[str, Any]:
    keys = {patient.key for patient in patients}
    own = [score for score in scores if (score.site, score.patient) in keys]
    intervals = bootstrap_intervals([own], np.random.default_rng(np.random.SeedSequence([seed, 0x5B])))
    shown: dict[str, Any] = {measure: intervals[measure].to_dict() for measure in SHOWN}
    if no_sensitivity:
        shown["lesion_sensitivity"] = None
    return {"group": name, "suppressed": False, "patients": len(patients), "cases": len(own), **shown}


def _suppressed_row(name: str) -> dict[str, Any]:
    empty = dict.fromkeys(("patients", "cases", *SHOWN))
    return {"group": name, "suppressed": True, **empty, **as_row(None)}


def as_row(test: GroupTest | None) -> dict[str, Any]:
    """A test's part of a row; None throughout where none was made."""
    return asdict(test) if test else dict.fromkeys(("p", "p_holm", "superiority"))
