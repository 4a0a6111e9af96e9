"""Figures from the sites' sums are those of the rows that the sites keep."""

import numpy as np
import pytest
from scipy import stats

from client.disclosure import sums_that_leave
from common.metrics.intervals import Interval
from common.metrics.scores import CaseScores, LesionScore, volume_band
from common.protocol import SUPPRESSED, LesionCounts
from server.pooled_figures import in_words, latest_figures, mean_interval, pool_figures, wilson_interval
from server.records import Outcome, Participation, RoundRecord
from tests.server.builders import SUMS


def rows(site: str, patients: int) -> list[CaseScores]:
    rng = np.random.default_rng(patients)

    def row(number: int, exam: int) -> CaseScores:
        lesions = tuple(
            LesionScore(float(volume), bool(rng.random() < 0.7)) for volume in rng.choice((9.0, 90.0, 900.0), 6)
        )
        false = int(rng.poisson(1.5))
        return CaseScores(f"p{number}", f"p{number}-{exam}", site, float(rng.random()), lesions, 6 + false, false)

    return [row(number, exam) for number in range(patients) for exam in range(1 + number % 2)]


def ends_of(interval: Interval) -> tuple[float | None, float | None, float | None]:
    return interval.estimate, interval.low, interval.high


def test_pooled_figures_are_those_of_the_rows() -> None:
    sites = {"north": rows("north", 9), "south": rows("south", 7), "west": rows("west", 4)}
    figures = pool_figures(3, [sums_that_leave(own, 5) for own in sites.values()])
    kept = [*sites["north"], *sites["south"]]
    assert (figures.patients, figures.cases, figures.suppressed_sites) == (16, len(kept), 1)
    people = sorted({(row.site, row.patient) for row in kept})
    for interval, name in ((figures.dice, "dice"), (figures.fp_per_scan, "false_positives")):
        means = [np.mean([getattr(row, name) for row in kept if (row.site, row.patient) == one]) for one in people]
        ends = stats.t.interval(0.95, len(means) - 1, np.mean(means), stats.sem(means))
        assert ends_of(interval) == pytest.approx((np.mean(means), *ends), abs=1e-12)
    for band, interval in [("", figures.sensitivity), *figures.by_volume.items()]:
        found = [x.detected for row in kept for x in row.lesions if volume_band(x.volume_mm3) == band or not band]
        share, half_z2 = np.mean(found), stats.norm.ppf(0.975) ** 2 / len(found)
        root = np.sqrt(half_z2 * share * (1 - share) + half_z2**2 / 4)
        ends = (share + half_z2 / 2 + np.array([-root, root])) / (1 + half_z2)
        assert ends_of(interval) == pytest.approx((share, *ends), abs=1e-9)


def test_the_worked_numbers() -> None:
    mean = mean_interval(3, 2.1, 1.49)
    assert (mean.estimate, mean.low, mean.high) == pytest.approx((0.7, 0.7 - 0.24841, 0.7 + 0.24841), abs=1e-5)
    share = wilson_interval([LesionCounts(6, 5), None, LesionCounts(4, 3)])
    assert (share.low, share.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert mean_interval(1, 0.5, 0.25).low is None and mean_interval(0, 0, 0).estimate is None
    assert wilson_interval([None]).estimate is None


def test_the_last_round_that_was_judged_is_told_in_words() -> None:
    def record(number: int, *incoming: object) -> RoundRecord:
        sites = [
            Participation.model_validate({"site": "s", "outcome": Outcome.ACCEPTED, "incoming": one})
            for one in incoming
        ]
        return RoundRecord(round=number, plan_id="p", seed=1, advanced=True, model_sha256="m", sites=tuple(sites))

    figures = latest_figures([record(1, SUMS), record(2, SUMS, SUPPRESSED), record(3, None)])
    assert figures is not None
    assert in_words(figures) == (
        "validation of the model that came into round 2: Dice 0.750 (0.584 to 0.916) over 6 patients, lesion "
        "sensitivity 0.600 (0.387 to 0.781), false positives per scan 0.500 (0.031 to 0.969); 1 site(s) "
        "suppressed, having too few patients"
    )
    silent = latest_figures([record(1, SUPPRESSED, SUPPRESSED)])
    assert silent is not None
    assert in_words(silent) == "validation: 2 site(s) suppressed, having too few patients"
    assert latest_figures([record(1, None)]) is None
