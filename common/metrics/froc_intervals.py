"""A FROC curve over exams with its uncertainty: bootstrap over patients, as intervals.py does for plain scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from common.metrics.exam_curve import LESION_GROUPS, ExamCurve
from common.metrics.intervals import REPLICATES, Interval, common_patients, divide, interval_of, resample

FALSE_POSITIVE_LIMITS = (1, 2, 4)
"""False positives per scan at which sensitivities are compared."""

_PLAIN = ("scans", "auc", "auc_scans")
_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrocIntervals:
    """A curve, the mean over an arm's models, with intervals.

    Attributes:
        sensitivity: by LESION_GROUPS, an interval for each threshold; lesions found over lesions, pooled.
        fp_per_scan: an interval for each threshold.
        sensitivity_at: by false positives per scan and by LESION_GROUPS, `froc.sensitivity_at`; 0 where the
            highest threshold has more of them already, since marking nothing has none.
        voxel_auc: mean over the exams with a lesion.
    """

    sensitivity: Mapping[str, tuple[Interval, ...]]
    fp_per_scan: tuple[Interval, ...]
    sensitivity_at: Mapping[int, Mapping[str, Interval]]
    voxel_auc: Interval


def froc_intervals(
    models: Sequence[Sequence[ExamCurve]], rng: np.random.Generator, replicates: int = REPLICATES
) -> FrocIntervals:
    """The curve of one model, or the mean of several models' curves at equal thresholds.

    A replicate draws patients, all their exams and the models' answers with them, and forms the whole curve anew:
    which threshold keeps to so many false positives is a part of what is uncertain.

    Args:
        models: every model's exams, one at least; the same exams and thresholds in all.
        rng: draws the replicates.
        replicates: how many.

    Raises:
        ValueError: the models were not judged on the same patients, or there is no exam.
    """
    patients = common_patients(models)
    if not patients:
        raise ValueError("no exam to draw a curve from")
    sums = _sums_by_patient(models, patients)
    total, drawn = _curves(sums.sum(axis=0)), _curves(resample(sums, rng, replicates))
    lesions = _split(sums)[1]
    telling = {group: int(np.count_nonzero(lesions[:, 0, row])) for row, group in enumerate(LESION_GROUPS)}
    with_auc = int(np.count_nonzero(sums[:, 0, _PLAIN.index("auc_scans")]))
    units, thresholds = len(patients), range(total.fp_per_scan.shape[-1])
    return FrocIntervals(
        sensitivity={
            group: tuple(
                interval_of(total.sensitivity[row, at], drawn.sensitivity[:, row, at], units, telling[group])
                for at in thresholds
            )
            for row, group in enumerate(LESION_GROUPS)
        },
        fp_per_scan=tuple(
            interval_of(total.fp_per_scan[at], drawn.fp_per_scan[:, at], units, units) for at in thresholds
        ),
        sensitivity_at={
            limit: {
                group: interval_of(total.best[place, row], drawn.best[:, place, row], units, telling[group])
                for row, group in enumerate(LESION_GROUPS)
            }
            for place, limit in enumerate(FALSE_POSITIVE_LIMITS)
        },
        voxel_auc=interval_of(total.voxel_auc, drawn.voxel_auc, units, with_auc),
    )


@dataclass(frozen=True, slots=True)
class _Curves:
    """Means over models: (..., groups, thresholds), (..., thresholds), (..., limits, groups) and (...)."""

    sensitivity: _Floats
    fp_per_scan: _Floats
    best: _Floats
    voxel_auc: _Floats


def _sums_by_patient(models: Sequence[Sequence[ExamCurve]], patients: Sequence[tuple[str, str]]) -> _Floats:
    """(patients, models, columns): _PLAIN, lesions by group, then false positives and found by group, each by
    threshold."""
    row = {patient: index for index, patient in enumerate(patients)}
    thresholds = len(models[0][0].false_positives)
    columns = len(_PLAIN) + len(LESION_GROUPS) + thresholds * (1 + len(LESION_GROUPS))
    sums = np.zeros((len(patients), len(models), columns))
    for model, curve in ((number, curve) for number, curves in enumerate(models) for curve in curves):
        auc = (0.0, 0) if curve.voxel_auc is None else (curve.voxel_auc, 1)
        sums[row[curve.site, curve.patient], model] += (
            *(1, *auc),
            *(curve.lesions[group] for group in LESION_GROUPS),
            *curve.false_positives,
            *(hits for group in LESION_GROUPS for hits in curve.found[group]),
        )
    return sums


def _split(sums: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Plain columns, lesions (..., groups), false positives (..., thresholds), found (..., groups, thresholds)."""
    groups = len(LESION_GROUPS)
    first = len(_PLAIN) + groups
    thresholds = (sums.shape[-1] - first) // (1 + groups)
    found = sums[..., first + thresholds :].reshape(*sums.shape[:-1], groups, thresholds)
    return sums[..., : len(_PLAIN)], sums[..., len(_PLAIN) : first], sums[..., first : first + thresholds], found


def _curves(totals: _Floats) -> _Curves:
    """From (..., models, columns). What is undefined (no lesion of a size) is so for all models alike: NaN."""
    plain, lesions, false, found = _split(totals)
    scans, auc, auc_scans = (plain[..., column] for column in range(len(_PLAIN)))
    sensitivity = divide(found, np.broadcast_to(lesions[..., None], found.shape))
    fp_per_scan = divide(false, np.broadcast_to(scans[..., None], false.shape))
    best = []
    for limit in FALSE_POSITIVE_LIMITS:
        downwards = np.logical_and.accumulate((fp_per_scan <= limit)[..., ::-1], axis=-1)
        kept = downwards[..., None, ::-1]
        best.append(np.where(kept, sensitivity, 0.0 * sensitivity).max(axis=-1))  # 0 times NaN stays undefined
    return _Curves(
        sensitivity=sensitivity.mean(axis=-3),
        fp_per_scan=fp_per_scan.mean(axis=-2),
        best=np.stack(best, axis=-2).mean(axis=-3),
        voxel_auc=divide(auc, auc_scans).mean(axis=-1),
    )
