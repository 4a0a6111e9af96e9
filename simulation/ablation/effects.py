"""What a row changed against another, with an interval that covers other trainings and other patients.

Two trainings of one configuration that differ by a seed end in different models. So a difference has two sources
of error, and each has an interval of its own:

- patients: a bootstrap, paired over patients (common/metrics/intervals.py), of these very models.
- trainings: Student's t. For rows that train, the noise of a training is pooled over all rows that were trained
  more than once, as in a one-way analysis of variance: s^2 is the sum of squares of every training about its row's
  mean, over the degrees of freedom, and a difference of means of n and m trainings is off by
  t * s * sqrt(1/n + 1/m). It takes the noise to be the same in all rows. A row that predicts with the base's own
  models is compared model by model, so its noise is that of those differences.

The two are joined by their distances from the estimate (Zou and Donner 2008, Statistics in Medicine 27:1693): with
patients -0.03 to +0.02 about 0 and trainings +-0.04, the ends are -0.05 and +0.045. What a training's noise does
to single patients counts in both, so that the interval is rather too wide than too narrow.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import stats

from common.metrics.intervals import LEVEL, STATISTICS, Interval, paired_intervals, t_interval
from common.metrics.scores import VOLUME_BANDS, CaseScores, summarise

Scores: TypeAlias = tuple[CaseScores, ...]
METHOD = (
    f"{LEVEL:.0%} intervals over both trainings (Student's t; of rows that train, with the noise pooled over all "
    "of them) and patients (paired bootstrap), joined by Zou and Donner's rule"
)


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of a measure from training to training; None without a row that was trained twice."""

    sd: float | None
    degrees_of_freedom: int


def values_of(scores: Scores) -> dict[str, float | None]:
    """Every measure of intervals.STATISTICS of one model."""
    summary = summarise(scores)
    return {
        "dice": summary.dice,
        "lesion_sensitivity": summary.lesion_sensitivity,
        "lesion_precision": summary.lesion_precision,
        "fp_per_scan": summary.fp_per_scan,
        **{f"sensitivity_{band}": summary.sensitivity_by_volume[band].value for band in VOLUME_BANDS},
    }


def mean_of(models: Sequence[Scores], measure: str) -> float | None:
    """Mean over the models that have the measure."""
    known = _known(models, measure)
    return sum(known) / len(known) if known else None


def training_noise(rows: Iterable[Sequence[Scores]]) -> dict[str, Noise]:
    """The pooled noise of a training, by measure; each row is the models of its seeds.

    Rows of (0.60, 0.62) and (0.50, 0.54): sums of squares 0.0002 and 0.0008 over 2 degrees of freedom, so that
    the standard deviation is 0.0224.
    """
    trained = [list(row) for row in rows]
    return {measure: _pooled([_known(row, measure) for row in trained]) for measure in STATISTICS}


def training_effect(
    ours: Sequence[Scores], theirs: Sequence[Scores], noise: Mapping[str, Noise], seed: int
) -> dict[str, Interval]:
    """Ours minus theirs of every measure, for models of trainings of their own.

    A model without the measure (one that marks nothing has no precision) is no training of it.

    Raises:
        ValueError: the models were not judged on the same patients, exams and lesions.
    """
    return {
        measure: join(
            patients, _half_width(noise[measure], len(_known(ours, measure)), len(_known(theirs, measure)))
        )
        for measure, patients in _over_patients(ours, theirs, seed).items()
    }


def prediction_effect(ours: Sequence[Scores], theirs: Sequence[Scores], seed: int) -> dict[str, Interval]:
    """Ours minus theirs of every measure, where place by place both are of the same model.

    Raises:
        ValueError: the models were not judged on the same patients, exams and lesions, or are not as many.
    """
    effects = {}
    for measure, patients in _over_patients(ours, theirs, seed).items():
        pairs = [(values_of(a)[measure], values_of(b)[measure]) for a, b in zip(ours, theirs, strict=True)]
        own = t_interval([a - b for a, b in pairs if a is not None and b is not None])
        half = None if own.high is None or own.estimate is None else own.high - own.estimate
        effects[measure] = join(patients, half)
    return effects


def join(patients: Interval, half_width: float | None) -> Interval:
    """Add the error of trainings, +- `half_width`, to an interval over patients; no ends where one is missing."""
    estimate, low, high = patients.estimate, patients.low, patients.high
    if estimate is None or low is None or high is None or half_width is None:
        return Interval(estimate, None, None, patients.units)
    below, above = math.hypot(estimate - low, half_width), math.hypot(high - estimate, half_width)
    return Interval(estimate, estimate - below, estimate + above, patients.units)


def _over_patients(ours: Sequence[Scores], theirs: Sequence[Scores], seed: int) -> dict[str, Interval]:
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xAB1A]))
    intervals = paired_intervals(ours, theirs, "difference", rng)  # says first which patient is not in both
    _require_same_lesions([*ours, *theirs])
    return intervals


def _require_same_lesions(models: Sequence[Scores]) -> None:
    """Sensitivity to other lesions, as after a change of the labels or of the data, is another measure."""
    first, *others = (
        {(case.site, case.exam): [lesion.volume_mm3 for lesion in case.lesions] for case in scores}
        for scores in models
    )
    for other in others:
        odd = sorted(key for key in {*first, *other} if first.get(key) != other.get(key))
        if odd:
            site, exam = odd[0]
            raise ValueError(
                f"exam {exam} of site {site} was judged on other reference lesions, or in one arm only "
                f"({len(odd)} such exams): compare like with like"
            )


def _half_width(noise: Noise, ours: int, theirs: int) -> float | None:
    if noise.sd is None or not (ours and theirs):
        return None
    factor = float(stats.t.ppf((1 + LEVEL) / 2, noise.degrees_of_freedom))
    return factor * noise.sd * math.sqrt(1 / ours + 1 / theirs)


def _pooled(rows: Sequence[Sequence[float]]) -> Noise:
    freedom = sum(len(row) - 1 for row in rows if row)
    if freedom == 0:
        return Noise(None, 0)
    squares = sum(float(np.var(row)) * len(row) for row in rows if row)
    return Noise(math.sqrt(squares / freedom), freedom)


def _known(models: Sequence[Scores], measure: str) -> list[float]:
    return [value for value in (values_of(scores)[measure] for scores in models) if value is not None]
