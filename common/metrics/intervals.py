"""How sure a score is: bootstrap over patients within a run, Student's t over the seeds of a study.

The unit of resampling is the patient with all exams, lesions and models' answers: two exams of one patient are
not two independent observations, and thirty lesions of one brain still less. Every summary score is a ratio of
two sums over patients, so a replicate is one row of a matrix product.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

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


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate: on all units; None when undefined (no case, no lesion, a ratio to 0).
        low, high: ends of the interval; None with fewer than two units, where nothing can be resampled.
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
    scores: Sequence[CaseScores], rng: np.random.Generator, replicates: int = REPLICATES
) -> dict[str, Interval]:
    """An interval for every one of STATISTICS, by resampling patients with replacement.

    A patient may have several scores (exams, or the answers of several models): they stay together. Replicates
    in which a statistic is undefined (no lesion of that size was drawn) are left out of its percentiles.

    Source: Efron and Tibshirani 1993, chapter 13 (percentile); Davison and Hinkley 1997, section 3.8 (clusters).
    """
    patients = _patients(scores)
    sums = _sums_by_patient(scores, patients)
    drawn = _resample(sums, rng, replicates)
    return {
        name: _interval(_statistic(sums.sum(axis=0), name), _statistic(drawn, name), len(patients))
        for name in STATISTICS
    }


def paired_intervals(
    first: Sequence[CaseScores],
    second: Sequence[CaseScores],
    comparison: Comparison,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> dict[str, Interval]:
    """Intervals of `first - second` or `first / second` for every one of STATISTICS, on the same patients.

    Both arms are evaluated on the same draw of patients in every replicate, so what makes a patient hard for
    both arms cancels. Dice 0.66 against 0.60: difference 0.06, ratio 1.1. A ratio to 0 is undefined.

    Raises:
        ValueError: the arms were not judged on the same patients; the first one that differs is named.
    """
    patients = _patients(first)
    odd = sorted(set(patients) ^ set(_patients(second)))
    if odd:
        raise ValueError(
            f"patient {odd[0][1]} of site {odd[0][0]} was judged in one arm only: compare like with like"
        )
    sums = np.stack([_sums_by_patient(first, patients), _sums_by_patient(second, patients)], axis=1)
    drawn = _resample(sums.reshape(len(patients), -1), rng, replicates).reshape(replicates, 2, len(_SUMS))
    totals = sums.sum(axis=0)
    return {
        name: _interval(
            _compare(_statistic(totals[0], name), _statistic(totals[1], name), comparison),
            _compare(_statistic(drawn[:, 0], name), _statistic(drawn[:, 1], name), comparison),
            len(patients),
        )
        for name in STATISTICS
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


def _patients(scores: Sequence[CaseScores]) -> list[_Patient]:
    # Hospitals number their patients alike: the site belongs to the identity. Sorted: order must not matter.
    return sorted({(score.site, score.patient) for score in scores})


def _sums_by_patient(scores: Sequence[CaseScores], patients: list[_Patient]) -> _Floats:
    """(patients, len(_SUMS)) sums over each patient's scores."""
    row = {patient: index for index, patient in enumerate(patients)}
    column = {name: index for index, name in enumerate(_SUMS)}
    sums = np.zeros((len(patients), len(_SUMS)))
    for score in scores:
        own = sums[row[score.site, score.patient]]
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


def _resample(sums: _Floats, rng: np.random.Generator, replicates: int) -> _Floats:
    """(replicates, columns): sums over as many patients as there are, drawn with replacement."""
    count = len(sums)
    if count == 0:
        return np.zeros((replicates, sums.shape[1]))
    times_drawn = rng.multinomial(count, np.full(count, 1.0 / count), size=replicates)
    drawn: _Floats = times_drawn.astype(np.float64) @ sums
    return drawn


def _statistic(totals: _Floats, name: str) -> _Floats:
    """One of STATISTICS from sums in the last axis; NaN where there is nothing to divide by."""
    numerator, denominator = (_SUMS.index(part) for part in _RATIOS[name])
    return _divide(totals[..., numerator], totals[..., denominator])


def _compare(first: _Floats, second: _Floats, comparison: Comparison) -> _Floats:
    return np.asarray(first - second) if comparison == "difference" else _divide(first, second)


def _divide(numerator: _Floats, denominator: _Floats) -> _Floats:
    over = np.asarray(denominator, np.float64)
    quotient: _Floats = np.divide(numerator, over, out=np.full(over.shape, np.nan), where=over != 0)
    return quotient


def _interval(estimate: _Floats, drawn: _Floats, units: int) -> Interval:
    value = None if np.isnan(estimate) else float(estimate)
    defined = drawn[~np.isnan(drawn)]
    if value is None or units < 2 or defined.size == 0:
        return Interval(value, None, None, units)
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(value, float(low), float(high), units)
