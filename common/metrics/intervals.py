"""How sure a score is: bootstrap over patients within a run, Student's t over the seeds of a study.

The unit of resampling is the patient with all exams, lesions and models' answers: two exams of one patient are
not two independent observations, and thirty lesions of one brain still less. Every summary score is a ratio of
two sums over patients, so a replicate is one row of a matrix product.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.metrics.scores import VOLUME_BANDS, CaseScores, volume_band

LEVEL = 0.95
REPLICATES = 2000
BOOTSTRAP = f"{LEVEL:.0%} percentile bootstrap over patients, {REPLICATES} replicates"
SEEDS = f"{LEVEL:.0%} Student's t interval over seeds"

_SUMS = (
    *("cases", "dice", "lesions", "found", "predicted", "true", "false"),
    *(f"{what}_{band}" for band in VOLUME_BANDS for what in ("lesions", "found")),
)
_RATIOS = {
    "dice": ("dice", "cases"),
    "lesion_sensitivity": ("found", "lesions"),
    "lesion_precision": ("true", "predicted"),
    "fp_per_scan": ("false", "cases"),
    **{f"sensitivity_{band}": (f"found_{band}", f"lesions_{band}") for band in VOLUME_BANDS},
}
STATISTICS = tuple(_RATIOS)

Comparison: TypeAlias = Literal["difference", "ratio"]
_Patient: TypeAlias = tuple[str, str]
_Floats: TypeAlias = npt.NDArray[np.float64]


class OfPatient(Protocol):
    """Something measured on an exam of a patient of a site."""

    @property
    def site(self) -> str:
        """Where the exam lies."""

    @property
    def patient(self) -> str:
        """The patient's name at that site."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate: on all units; None when undefined (no case, no lesion, a ratio to 0).
        low, high: ends of the interval; None where fewer than two units tell of it, so that nothing can be
            resampled: one patient with all the lesions of a size would else give an interval of no width.
        units: patients (or seeds) behind it.
    """

    estimate: float | None
    low: float | None
    high: float | None
    units: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def bootstrap_intervals(
    models: Sequence[Sequence[CaseScores]], rng: np.random.Generator, replicates: int = REPLICATES
) -> dict[str, Interval]:
    """An interval for every one of STATISTICS, by resampling patients with replacement.

    Args:
        models: one model's scores, or several models' on the same patients; a statistic is then the mean over
            models, as the score of an arm of several models is. A patient's exams stay together, and so do the
            models' answers for it.
        rng: draws the replicates.
        replicates: how many. One in which a statistic is undefined (no lesion of that size was drawn) is left
            out of its percentiles.

    Source: Efron and Tibshirani 1993, chapter 13 (percentile); Davison and Hinkley 1997, section 3.8 (clusters).

    Raises:
        ValueError: the models were not judged on the same patients; the first one that differs is named.
    """
    patients = common_patients(models)
    sums = _sums_by_patient(models, patients)
    drawn = resample(sums, rng, replicates)
    return {
        name: interval_of(
            _statistic(sums.sum(axis=0), name), _statistic(drawn, name), len(patients), _telling(sums, name)
        )
        for name in STATISTICS
    }


def paired_intervals(
    first: Sequence[Sequence[CaseScores]],
    second: Sequence[Sequence[CaseScores]],
    comparison: Comparison,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> dict[str, Interval]:
    """Intervals of `first - second` or `first / second` for every one of STATISTICS, on the same patients.

    Both arms (each the models of `bootstrap_intervals`) are evaluated on the same draw of patients in every
    replicate, so what makes a patient hard for both cancels. Dice 0.66 against 0.60: difference 0.06, ratio 1.1.
    A ratio to 0 is undefined.

    Raises:
        ValueError: the arms were not judged on the same patients; the first one that differs is named.
    """
    patients = common_patients([*first, *second])
    sums = _sums_by_patient([*first, *second], patients)
    drawn = resample(sums, rng, replicates)
    totals, split = sums.sum(axis=0), len(first)

    def compared(values: _Floats, name: str) -> _Floats:
        ours, theirs = _statistic(values[..., :split, :], name), _statistic(values[..., split:, :], name)
        return _compare(ours, theirs, comparison)

    return {
        name: interval_of(compared(totals, name), compared(drawn, name), len(patients), _telling(sums, name))
        for name in STATISTICS
    }


def ratio_intervals(
    ratios: Mapping[str, Sequence[tuple[float, float]]], rng: np.random.Generator, replicates: int = REPLICATES
) -> dict[str, Interval]:
    """An interval for every ratio of two sums over units, by resampling the units with replacement.

    A mean is the ratio of (value, 1); a unit where it is undefined is (0, 0). Sensitivity is (found, lesions):
    (1, 2) and (3, 4) give 4 / 6. All ratios are taken from the same draws.

    Args:
        ratios: by name, (part, whole) of every unit in one order.
        rng: draws the replicates.
        replicates: how many.
    """
    names = list(ratios)
    if not names:
        return {}
    sums = np.array([ratios[name] for name in names], np.float64).reshape(len(names), -1, 2).transpose(1, 0, 2)
    totals, drawn = sums.sum(axis=0), resample(sums, rng, replicates)
    return {
        name: interval_of(
            divide(totals[row, 0], totals[row, 1]),
            divide(drawn[:, row, 0], drawn[:, row, 1]),
            len(sums),
            int(np.count_nonzero(sums[:, row, 1])),
        )
        for row, name in enumerate(names)
    }


def t_interval(values: Sequence[float]) -> Interval:
    """Mean and Student's t interval of independent repeats: (0.95, 0.97, 0.99) is 0.97, 0.920 to 1.020.

    With three seeds the factor is 4.30 standard errors: wide, and honest.
    """
    count = len(values)
    if count == 0:
        return Interval(None, None, None, 0)
    mean = float(np.mean(values))
    if count == 1:
        return Interval(mean, None, None, 1)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half, count)


def common_patients(models: Sequence[Sequence[OfPatient]]) -> list[_Patient]:
    """(site, patient) of every model, sorted: order must not matter. Sites number their patients alike, so the
    site belongs to the identity.

    Raises:
        ValueError: the models were not judged on the same patients; the first one that differs is named.
    """
    sets = [{(score.site, score.patient) for score in scores} for scores in models]
    everyone: set[_Patient] = set().union(*sets)
    odd = sorted(patient for patient in everyone if not all(patient in known for known in sets))
    if odd:
        raise ValueError(
            f"patient {odd[0][1]} of site {odd[0][0]} was judged in one arm only: compare like with like"
        )
    return sorted(everyone)


def _sums_by_patient(models: Sequence[Sequence[CaseScores]], patients: list[_Patient]) -> _Floats:
    """(patients, models, len(_SUMS)) sums over each patient's scores."""
    row = {patient: index for index, patient in enumerate(patients)}
    column = {name: index for index, name in enumerate(_SUMS)}
    sums = np.zeros((len(patients), len(models), len(_SUMS)))
    for model, score in ((number, score) for number, scores in enumerate(models) for score in scores):
        own = sums[row[score.site, score.patient], model]
        own[column["cases"]] += 1
        own[column["dice"]] += score.dice
        own[column["predicted"]] += score.predicted_lesions
        own[column["true"]] += score.predicted_lesions - score.false_positives
        own[column["false"]] += score.false_positives
        for lesion in score.lesions:
            for suffix in ("", f"_{volume_band(lesion.volume_mm3)}"):
                own[column[f"lesions{suffix}"]] += 1
                own[column[f"found{suffix}"]] += lesion.detected
    return sums


def resample(sums: _Floats, rng: np.random.Generator, replicates: int) -> _Floats:
    """(patients, ...) to (replicates, ...): sums over as many patients as there are, drawn with replacement."""
    count = len(sums)
    if count == 0:
        return np.zeros((replicates, *sums.shape[1:]))
    times_drawn = rng.multinomial(count, np.full(count, 1.0 / count), size=replicates)
    return np.tensordot(times_drawn.astype(np.float64), sums, axes=1)


def _statistic(totals: _Floats, name: str) -> _Floats:
    """One of STATISTICS from (..., models, columns): the mean over the models that have it, else NaN."""
    numerator, denominator = (_SUMS.index(part) for part in _RATIOS[name])
    values = divide(totals[..., numerator], totals[..., denominator])
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _telling(sums: _Floats, name: str) -> int:
    """How many patients tell of a statistic: those who have a lesion of the size, say, in any model's eyes."""
    return int(np.count_nonzero((sums[:, :, _SUMS.index(_RATIOS[name][1])] != 0).any(axis=1)))


def _compare(first: _Floats, second: _Floats, comparison: Comparison) -> _Floats:
    return np.asarray(first - second) if comparison == "difference" else divide(first, second)


def divide(numerator: _Floats, denominator: _Floats) -> _Floats:
    """Element by element; NaN where the denominator is 0. The shapes are equal."""
    over = np.asarray(denominator, np.float64)
    quotient: _Floats = np.divide(numerator, over, out=np.full(over.shape, np.nan), where=over != 0)
    return quotient


def interval_of(estimate: _Floats, drawn: _Floats, units: int, telling: int) -> Interval:
    """A statistic and the percentiles of its replicates, those that are NaN left out.

    Args:
        estimate: a scalar, NaN where undefined.
        drawn: (replicates,).
        units: patients.
        telling: how many of them tell of it; without a second one there are no ends.
    """
    value = None if np.isnan(estimate) else float(estimate)
    defined = drawn[~np.isnan(drawn)]
    if value is None or telling < 2 or defined.size == 0:
        return Interval(value, None, None, units)
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(value, float(low), float(high), units)
