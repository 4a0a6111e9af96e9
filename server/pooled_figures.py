"""What all sites' validation sums say together: figures with 95 % intervals, formed from sums alone."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scipy import stats

from common.metrics.intervals import LEVEL, Interval
from common.metrics.scores import VOLUME_BANDS
from common.protocol import SUPPRESSED, CaseSums, IncomingScores, LesionCounts
from server.records import RoundRecord


@dataclass(frozen=True, slots=True)
class PooledFigures:
    """One model on the validation patients of the sites that told of them.

    Attributes:
        round: the model is the one that came into this round.
        suppressed_sites: number of sites whose patients are too few to tell of; no figure holds them.
        patients, cases: behind `dice` and `fp_per_scan`.
        dice, fp_per_scan: mean over patients; `units` are patients.
        sensitivity: found lesions over lesions; `units` are lesions.
        by_volume: the same by class of volume, in the order of VOLUME_BANDS, of the sites that tell the class.
    """

    round: int
    suppressed_sites: int
    patients: int
    cases: int
    dice: Interval
    fp_per_scan: Interval
    sensitivity: Interval
    by_volume: dict[str, Interval]


def latest_figures(history: Iterable[RoundRecord]) -> PooledFigures | None:
    """Of the last round in which some site reported on its validation, if only that it is suppressed."""
    judged = [record for record in history if any(site.incoming is not None for site in record.sites)]
    return pool_figures(judged[-1].round, (site.incoming for site in judged[-1].sites)) if judged else None


def pool_figures(round_id: int, reports: Iterable[IncomingScores]) -> PooledFigures:
    """Add up the sites' sums and form the figures."""
    given = list(reports)
    sums = [one for one in given if isinstance(one, CaseSums)]
    patients = sum(one.patients for one in sums)
    return PooledFigures(
        round=round_id,
        suppressed_sites=sum(one == SUPPRESSED for one in given),
        patients=patients,
        cases=sum(one.cases for one in sums),
        dice=mean_interval(patients, sum(one.dice for one in sums), sum(one.dice_squared for one in sums)),
        fp_per_scan=mean_interval(
            patients,
            sum(one.false_positives for one in sums),
            sum(one.false_positives_squared for one in sums),
        ),
        sensitivity=wilson_interval(one.lesions for one in sums),
        by_volume={band: wilson_interval(one.by_volume.get(band) for one in sums) for band in VOLUME_BANDS},
    )


def mean_interval(count: int, total: float, total_of_squares: float) -> Interval:
    """Mean and Student's t interval of `count` values known by their sum and the sum of their squares.

    s^2 = (sum x^2 - (sum x)^2 / n) / (n - 1), half width t(n - 1) * s / sqrt(n). For 0.6, 0.7 and 0.8 the sums
    are 2.1 and 1.49: mean 0.7, s = 0.1, half width 4.303 * 0.1 / sqrt(3) = 0.248. Ends may pass 0 and 1 with few
    patients: they are not cut, so that it shows. One patient has no interval.
    """
    if count == 0:
        return Interval(None, None, None, 0)
    mean = total / count
    if count == 1:
        return Interval(mean, None, None, 1)
    variance = max(0.0, total_of_squares - total * mean) / (count - 1)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * math.sqrt(variance / count)
    return Interval(mean, mean - half, mean + half, count)


def wilson_interval(counts: Iterable[LesionCounts | None]) -> Interval:
    """Share of lesions found with Wilson's score interval: 8 of 10 is 0.8, 0.490 to 0.943.

    Lesions of one patient are alike, which this formula does not know: with many lesions a patient the true
    interval is wider.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209.
    """
    told = [one for one in counts if one is not None]
    lesions, found = sum(one.lesions for one in told), sum(one.found for one in told)
    if lesions == 0:
        return Interval(None, None, None, 0)
    ends = stats.binomtest(found, lesions).proportion_ci(confidence_level=LEVEL, method="wilson")
    return Interval(found / lesions, float(ends.low), float(ends.high), lesions)


def in_words(figures: PooledFigures) -> str:
    """One line: `Dice 0.712 (0.650 to 0.774) over 34 patients, sensitivity ..., 2 sites suppressed`."""
    hidden = f"{figures.suppressed_sites} site(s) suppressed, having too few patients"
    if not figures.patients:
        return f"validation: {hidden}"
    told = (
        f"validation of the model that came into round {figures.round}: Dice {_told(figures.dice)} over "
        f"{figures.patients} patients, lesion sensitivity {_told(figures.sensitivity)}, false positives per scan "
        f"{_told(figures.fp_per_scan)}"
    )
    return f"{told}; {hidden}" if figures.suppressed_sites else told


def _told(interval: Interval) -> str:
    if interval.estimate is None:
        return "not told"
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:.3f}"
    return f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})"
