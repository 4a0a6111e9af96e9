"""What of a run's figures may be handed on with its model, so that no small group can be read or worked out.

`result.json` and the report show all and stay with the run. The model's folder is made to be handed on: its card
and its `metrics.json` hold what this module lets through.

- Patients by site: training, validation and test are three tables, each suppressed by itself. No total over the
  three, and none of a site over them, is given, from which a hidden cell would follow.
- Scores: of all test patients together, or none when they are fewer than five.
- Groups of patients: as the table of subgroups suppresses them; a hidden group is not named either, since that a
  cohort has one patient with a rare primary cancer may be enough to know who it is.
- Lesion-wise Dice and HD95 are means over lesions, found, missed and invented: only where what counts lesions may
  be shown. A case without a lesion has 0 or 374 mm, so that the rest of a sum over 374 is that of the others.
- Lesions by size: by the number of patients who have a lesion of that size.
- The FROC curve: sensitivity at set numbers of false positives over all lesions and the mean voxel AUC, only
  where what counts lesions may be shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from client.case_list import CaseRef
from common.metrics.exam_curve import EVERY_LESION
from common.metrics.scores import VOLUME_BANDS
from common.statistics.suppression import FEWEST_PATIENTS, suppress_small
from simulation.arms import Scores
from simulation.result import Judged
from simulation.size_classes import ShownSizes, shown_sizes

_MEASURES = ("dice", "fp_per_scan")
_OF_LESIONS = ("lesion_sensitivity", "lesion_precision", "lesions", "lesionwise_dice", "lesionwise_hd95")


@dataclass(frozen=True, slots=True)
class PatientCounts:
    """Patients of one role, such as training.

    Attributes:
        by_site: None where suppressed.
        patients, exams: over all sites; None where fewer than five patients.
    """

    by_site: Mapping[str, int | None]
    patients: int | None
    exams: int | None


def public_counts(judged: Judged) -> dict[str, PatientCounts]:
    """Patients by role and site; the test patients are those whose scores count."""
    federated = judged.scores.get("federated", ())
    sites = judged.prepared.sites
    return {
        "training": _counts({site.name: _patients(site.training) for site in sites}),
        "validation": _counts({site.name: _patients(site.validation) for site in sites}),
        "test": _counts(
            {site.name: [score.patient for score in federated if score.site == site.name] for site in sites}
        ),
    }


def public_arms(result: Mapping[str, Any], scores: Scores) -> dict[str, dict[str, Any]]:
    """The arms of a result without what is of one site or of too few patients; empty with too few test patients.

    Args:
        result: with `arms`, and nothing of it is changed.
        scores: of any arm: all are judged on the same cases.
    """
    patients = len({(score.site, score.patient) for score in scores})
    if patients < FEWEST_PATIENTS:
        return {}
    shown = shown_sizes(scores)
    return {name: _public_arm(arm, shown) for name, arm in result["arms"].items()}


def public_groups(result: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of the table of subgroups that are shown, by field; a field of which nothing is known is not."""
    found = result.get("subgroups") or {"fields": {}}
    return {
        field: [row for row in rows if not row["suppressed"]]
        for field, rows in found["fields"].items()
        if any(row["group"] != "unknown" for row in rows)
    }


def _public_arm(arm: Mapping[str, Any], shown: ShownSizes) -> dict[str, Any]:
    measures = (*_MEASURES, *(_OF_LESIONS if shown.lesions else ()))
    bands = [f"sensitivity_{band}" for band in VOLUME_BANDS if shown.lesions and band in shown.volumes]
    public = {name: arm[name] for name in ("cases", *measures) if name in arm}
    return {
        **public,
        "sensitivity_by_volume": {
            band: values if shown.lesions and band in shown.volumes else None
            for band, values in arm["sensitivity_by_volume"].items()
        },
        "sensitivity_by_diameter": arm["sensitivity_by_diameter"] if shown.lesions and shown.diameters else None,
        "froc": _public_froc(arm.get("froc")) if shown.lesions else None,
        "intervals": {
            name: interval for name, interval in arm["intervals"].items() if name in (*measures, *bands)
        },
    }


def _public_froc(froc: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if froc is None:
        return None
    return {
        "sensitivity_at": {limit: by_group[EVERY_LESION] for limit, by_group in froc["sensitivity_at"].items()},
        "voxel_auc": froc["voxel_auc"],
    }


def _patients(cases: Iterable[CaseRef]) -> list[str]:
    return [case.patient for case in cases]


def _counts(exams: Mapping[str, list[str]]) -> PatientCounts:
    """`exams` names the patient of every exam, by site; sites may name their patients alike."""
    patients = {site: len(set(own)) for site, own in exams.items()}
    hidden = suppress_small(patients)
    return PatientCounts(
        by_site={site: None if site in hidden.groups else count for site, count in patients.items()},
        patients=None if hidden.total else sum(patients.values()),
        exams=None if hidden.total else sum(len(own) for own in exams.values()),
    )
