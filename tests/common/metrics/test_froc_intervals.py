"""Held against plain scores at every threshold, whose intervals are known, and against curves done by hand."""

from dataclasses import replace

import numpy as np
import pytest

from common.metrics.exam_curve import EVERY_LESION, LESION_GROUPS, ExamCurve
from common.metrics.froc import THRESHOLDS, FrocPoint, sensitivity_at
from common.metrics.froc_intervals import FALSE_POSITIVE_LIMITS, froc_intervals
from common.metrics.intervals import Interval, bootstrap_intervals
from tests.common.metrics.curves import drawn_curves, scores_at


def hand_made(patient: str, found: tuple[int, ...], false: tuple[int, ...], lesions: int = 4) -> ExamCurve:
    by_group = {EVERY_LESION: lesions, "under_27": 0, "27_to_275": lesions, "over_275": 0}
    nothing = (0,) * len(found)
    hits = {EVERY_LESION: found, "under_27": nothing, "27_to_275": found, "over_275": nothing}
    return ExamCurve(patient, f"{patient}A", "north", 0.9, by_group, hits, false)


def test_a_curve_done_by_hand() -> None:
    exams = [hand_made("a", (4, 3, 1), (9, 3, 0)), hand_made("b", (4, 3, 2), (7, 1, 1))]
    curve = froc_intervals([exams], np.random.default_rng(1))
    assert [point.estimate for point in curve.sensitivity[EVERY_LESION]] == [1.0, 0.75, 0.375]
    assert [point.estimate for point in curve.fp_per_scan] == [8.0, 2.0, 0.5]
    assert [curve.sensitivity_at[limit][EVERY_LESION].estimate for limit in (1, 2, 4)] == [0.375, 0.75, 0.75]
    assert curve.sensitivity_at[2]["27_to_275"].estimate == 0.75
    assert curve.sensitivity_at[2]["under_27"] == Interval(None, None, None, 2)
    # a twice: 3 false positives at the second threshold, so that only the third serves: 1 of 4
    assert curve.sensitivity_at[2][EVERY_LESION].low == 0.25


def test_marking_nothing_is_always_allowed_and_blobs_that_run_together_do_not_count() -> None:
    exams = [hand_made("a", (4, 4, 1), (0, 30, 6)), hand_made("b", (4, 4, 1), (0, 30, 6))]
    curve = froc_intervals([exams], np.random.default_rng(1))
    assert [curve.sensitivity_at[limit][EVERY_LESION].estimate for limit in (1, 2, 4)] == [0.0, 0.0, 0.0]
    assert curve.sensitivity_at[1]["under_27"] == Interval(None, None, None, 2)  # no such lesion: not 0 of them


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_every_point_has_the_interval_of_the_scores_at_its_threshold(seeds: tuple[int, ...]) -> None:
    models = [drawn_curves(6, seed) for seed in seeds]
    curve = froc_intervals(models, np.random.default_rng(7), 300)
    for place in range(len(THRESHOLDS)):
        scores = [[scores_at(exam, place) for exam in exams] for exams in models]
        expected = bootstrap_intervals(scores, np.random.default_rng(7), 300)
        names = {EVERY_LESION: "lesion_sensitivity"} | {band: f"sensitivity_{band}" for band in LESION_GROUPS[1:]}
        found = {name: curve.sensitivity[group][place] for group, name in names.items()}
        found["fp_per_scan"] = curve.fp_per_scan[place]
        for name, interval in found.items():
            for value, known in zip(
                (interval.estimate, interval.low, interval.high),
                (expected[name].estimate, expected[name].low, expected[name].high),
                strict=True,
            ):
                assert value == pytest.approx(known, abs=1e-12)


def test_sensitivity_at_a_limit_is_that_of_the_plain_curve() -> None:
    exams = drawn_curves(6, 4)
    curve = froc_intervals([exams], np.random.default_rng(0), 50)
    points = [
        FrocPoint(threshold, sensitivity.estimate, false.estimate or 0.0)
        for threshold, sensitivity, false in zip(
            THRESHOLDS, curve.sensitivity[EVERY_LESION], curve.fp_per_scan, strict=True
        )
    ]
    for limit in FALSE_POSITIVE_LIMITS:
        assert curve.sensitivity_at[limit][EVERY_LESION].estimate == (sensitivity_at(points, limit) or 0.0)


def test_auc_is_the_mean_over_exams_with_a_lesion() -> None:
    without = replace(hand_made("c", (0, 0, 0), (0, 0, 0), 0), voxel_auc=None)
    exams = [hand_made("a", (4, 3, 1), (9, 3, 0)), replace(hand_made("b", (4, 3, 1), (9, 3, 0)), voxel_auc=0.8)]
    found = froc_intervals([[*exams, without]], np.random.default_rng(1)).voxel_auc
    assert found.estimate == pytest.approx(0.85)
    assert found.low == pytest.approx(0.8) and found.high == pytest.approx(0.9)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="no exam"):
        froc_intervals([()], np.random.default_rng(0))
    with pytest.raises(ValueError, match="judged in one arm only"):
        froc_intervals([drawn_curves(2, 1), drawn_curves(1, 1)], np.random.default_rng(0))
