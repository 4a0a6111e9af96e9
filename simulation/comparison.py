"""Two runs on the same patients: paired differences, and the groups of patients in which the change differs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from common.errors import FedmetsError, UserError
from common.metrics.intervals import Interval, bootstrap_intervals, paired_intervals
from common.metrics.scores import CaseScores
from common.statistics.group_tests import compare_groups, sizes_of
from common.statistics.patients import PatientKey, PatientScores, scores_by_patient
from common.statistics.rank_tests import RankTest, holm, signed_ranks
from common.statistics.subgroup_table import as_row
from common.statistics.subgroups import TraitsByExam, group_patients
from common.statistics.suppression import FEWEST_PATIENTS, suppress_small
from simulation.scoring import SCORES_FOLDER
from simulation.sites import load_prepared, traits_of_tests

TESTED = ("dice", "lesion_sensitivity", "fp_per_scan")
TEST = "Wilcoxon's signed ranks over patients; Holm over the measures"
GROUP_TEST = "Mann-Whitney on patients' change of Dice, the group against all others known; Holm over the table"
NO_AUC = (
    "DeLong's test does not apply: a run keeps an AUC of the voxels of each exam, and voxels of one brain are not "
    "independent of each other; result.json has every arm's mean over exams with its interval"
)


@dataclass(frozen=True, slots=True)
class ComparedArm:
    """One model of one run, and its scores on the test cases."""

    folder: Path
    arm: str
    scores: tuple[CaseScores, ...]


def read_arm(folder: Path, arm: str) -> ComparedArm:
    """Read a model's scores from a run's folder.

    Raises:
        UserError: no such run or arm (those that are there are named), or the file is damaged.
    """
    path = folder / SCORES_FOLDER / f"{arm}.json"
    try:
        rows = json.loads(path.read_bytes())["cases"]
        return ComparedArm(folder, arm, tuple(CaseScores.from_dict(row) for row in rows))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none"
        raise UserError(
            f"{path}: no such scores (there are: {known}); give a run's folder and one of its arms"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}: cannot be read; run fedmets-sim run again on {folder} to write it anew"
        ) from None


def read_traits(folder: Path) -> TraitsByExam | None:
    """What the dataset knows of a run's test cases; None where the run's cache is gone or foreign."""
    try:
        whole = folder.resolve()
        return traits_of_tests(load_prepared(whole), whole)
    except (OSError, ValidationError, FedmetsError):
        return None


def compare_runs(
    first: ComparedArm, second: ComparedArm, traits: TraitsByExam | None, seed: int = 0
) -> dict[str, Any]:
    """Everything as plain JSON values; every difference is first minus second.

    Raises:
        UserError: the two were not judged on the same exams against the same reference lesions.
    """
    _require_same_cases(first, second)
    notes = [NO_AUC]
    if traits is None:
        notes.append(f"{first.folder}: its prepared cases cannot be read, so groups are by site and burden alone")
    return {
        "schema": 1,
        "first": {"folder": str(first.folder), "arm": first.arm},
        "second": {"folder": str(second.folder), "arm": second.arm},
        "cases": len(first.scores),
        "patients": len(scores_by_patient(first.scores)),
        "test": TEST,
        "measures": _measures(first, second, seed),
        "group_test": GROUP_TEST,
        "groups": _groups(first, second, traits or {}, seed),
        "notes": notes,
    }


def _require_same_cases(first: ComparedArm, second: ComparedArm) -> None:
    """By exam and by the reference's lesions: phantoms of two seeds have the same names."""
    ours, theirs = ({(one.site, one.exam): one for one in arm.scores} for arm in (first, second))
    odd = sorted(ours.keys() ^ theirs.keys())
    if odd:
        raise UserError(
            f"exam {odd[0][1]} of site {odd[0][0]} was judged in one of {first.folder} and {second.folder} only "
            f"({len(odd)} such exams): compare runs with the same data, partition, split and seed"
        )
    for key, one in ours.items():
        if [lesion.volume_mm3 for lesion in one.lesions] != [lesion.volume_mm3 for lesion in theirs[key].lesions]:
            raise UserError(
                f"exam {key[1]} of site {key[0]} has other reference lesions in {first.folder} than in "
                f"{second.folder}: these are not the same patients; compare runs with the same data and seed"
            )


def _measures(first: ComparedArm, second: ComparedArm, seed: int) -> dict[str, Any]:
    ours, theirs = (bootstrap_intervals([arm.scores], np.random.default_rng(seed)) for arm in (first, second))
    differences = _differences(first.scores, second.scores, seed)
    tests = {measure: _signed_ranks(first.scores, second.scores, measure) for measure in TESTED}
    adjusted = holm({measure: test.p for measure, test in tests.items() if test.p is not None})
    return {
        measure: {
            "first": ours[measure].to_dict(),
            "second": theirs[measure].to_dict(),
            "difference": difference.to_dict(),
            "p": tests[measure].p if measure in tests else None,
            "p_holm": adjusted.get(measure),
        }
        for measure, difference in differences.items()
    }


def _differences(first: Sequence[CaseScores], second: Sequence[CaseScores], seed: int) -> dict[str, Interval]:
    return paired_intervals([first], [second], "difference", np.random.default_rng(seed))


def _signed_ranks(first: Sequence[CaseScores], second: Sequence[CaseScores], measure: str) -> RankTest:
    ours, theirs = scores_by_patient(first), scores_by_patient(second)
    pairs = [(_value(ours[key], measure), _value(theirs[key], measure)) for key in ours]
    return signed_ranks([one - two for one, two in pairs if one is not None and two is not None])


def _value(patient: PatientScores, measure: str) -> float | None:
    if measure == "lesion_sensitivity":
        return patient.sensitivity
    return patient.mean_dice if measure == "dice" else patient.fp_per_scan


def _groups(first: ComparedArm, second: ComparedArm, traits: TraitsByExam, seed: int) -> dict[str, Any]:
    """Difference of Dice by group, small groups suppressed."""
    theirs = scores_by_patient(second.scores)
    fields = group_patients(first.scores, traits)
    tests = compare_groups(fields, lambda own: own.mean_dice - theirs[own.key].mean_dice, FEWEST_PATIENTS)
    table: dict[str, Any] = {}
    for field, groups in fields.items():
        hidden = suppress_small(sizes_of(groups)).groups
        table[field] = [
            {"group": name, "suppressed": True, "patients": None, "difference": None, **as_row(None)}
            if name in hidden
            else {
                "group": name,
                "suppressed": False,
                "patients": len(members),
                "difference": _dice_difference(first, second, {one.key for one in members}, seed),
                **as_row(tests.get((field, name))),
            }
            for name, members in groups.items()
        ]
    return table


def _dice_difference(
    first: ComparedArm, second: ComparedArm, keys: set[PatientKey], seed: int
) -> Mapping[str, Any]:
    ours, theirs = ([one for one in arm.scores if (one.site, one.patient) in keys] for arm in (first, second))
    return _differences(ours, theirs, seed)["dice"].to_dict()
