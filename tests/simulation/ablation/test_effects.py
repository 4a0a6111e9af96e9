import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from common.metrics.intervals import STATISTICS, Interval, paired_intervals
from common.metrics.scores import CaseScores, LesionScore
from simulation.ablation.effects import (
    Noise,
    Scores,
    join,
    mean_of,
    prediction_effect,
    training_effect,
    training_noise,
    values_of,
)


def model(*dice: float, found: bool = True) -> Scores:
    """A model's scores on as many patients, each with a lesion of 10 mm3 and a false positive."""
    return tuple(
        CaseScores(f"p{number}", f"p{number}A", "north", value, (LesionScore(10.0, found),), 2, 1)
        for number, value in enumerate(dice)
    )


def ends(interval: Interval) -> list[float]:
    assert interval.low is not None
    assert interval.high is not None
    return [interval.low, interval.high]


def test_the_measures_of_one_model() -> None:
    values = values_of(model(0.5, 0.7))
    assert values["dice"] == pytest.approx(0.6)
    assert (values["lesion_sensitivity"], values["sensitivity_under_27"], values["fp_per_scan"]) == (1.0, 1.0, 1.0)
    assert values["lesion_precision"] == 0.5
    assert values["sensitivity_over_275"] is None
    assert mean_of([model(0.5, 0.7), model(0.7, 0.9)], "dice") == pytest.approx(0.7)
    assert mean_of([model(0.5)], "sensitivity_over_275") is None


def test_noise_is_pooled_over_rows_as_in_an_analysis_of_variance() -> None:
    rows = [[0.60, 0.62], [0.50, 0.54], [0.3]]
    noise = training_noise([[model(value, value) for value in row] for row in rows])
    assert noise["dice"].sd == pytest.approx(math.sqrt((0.0002 + 0.0008) / 2))
    assert noise["dice"].degrees_of_freedom == 2
    assert noise["fp_per_scan"] == Noise(0.0, 2)
    assert noise["sensitivity_over_275"] == Noise(None, 0)
    assert training_noise([[model(0.5)]])["dice"] == Noise(None, 0)


def test_two_rows_alone_give_the_interval_of_students_two_sample_test() -> None:
    ours, theirs = [0.60, 0.64, 0.61], [0.50, 0.54]
    rows = [[model(value, value, value) for value in row] for row in (ours, theirs)]
    effect = training_effect(rows[0], rows[1], training_noise(rows), seed=1)["dice"]
    expected = stats.ttest_ind(ours, theirs).confidence_interval(0.95)  # all patients alike: no error of theirs
    assert effect.estimate == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert ends(effect) == pytest.approx([float(expected.low), float(expected.high)])


def test_a_prediction_is_compared_model_by_model() -> None:
    theirs = [model(value, value) for value in (0.2, 0.5, 0.8)]
    ours = [model(value, value) for value in (0.21, 0.53, 0.82)]
    effect = prediction_effect(ours, theirs, seed=1)["dice"]
    expected = stats.ttest_rel([0.21, 0.53, 0.82], [0.2, 0.5, 0.8]).confidence_interval(0.95)
    assert effect.estimate == pytest.approx(0.02)
    assert ends(effect) == pytest.approx([float(expected.low), float(expected.high)])


def test_the_error_of_patients_is_in_it_too() -> None:
    theirs = [model(0.2, 0.5, 0.8, 0.4), model(0.2, 0.5, 0.8, 0.4)]
    ours = [model(0.3, 0.5, 0.7, 0.8), model(0.3, 0.5, 0.7, 0.8)]
    effect = prediction_effect(ours, theirs, seed=3)["dice"]
    rng = np.random.default_rng(np.random.SeedSequence([3, 0xAB1A]))
    alone = paired_intervals(ours, theirs, "difference", rng)["dice"]
    assert ends(effect) == pytest.approx(ends(alone))  # no noise of models
    assert ends(effect)[0] < 0.1 < ends(effect)[1]


def test_errors_are_joined_by_their_distances() -> None:
    joined = join(Interval(0.0, -0.03, 0.02, 9), 0.04)
    assert ends(joined) == pytest.approx([-0.05, math.hypot(0.02, 0.04)])
    assert joined.units == 9
    for unknown in (join(Interval(0.1, None, None, 1), 0.04), join(Interval(0.1, 0.0, 0.2, 9), None)):
        assert (unknown.estimate, unknown.low, unknown.high) == (0.1, None, None)
    assert join(Interval(None, None, None, 9), 0.04).estimate is None


def test_other_patients_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="patient p1 of site north"):
        training_effect([model(0.5)], [model(0.5, 0.6)], training_noise([]), seed=1)


def test_other_lesions_or_other_exams_cannot_be_compared() -> None:
    theirs = model(0.5, 0.6)
    coarser = (replace(theirs[0], lesions=(LesionScore(12.0, True),)), theirs[1])
    with pytest.raises(ValueError, match=r"exam p0A of site north was judged on other reference lesions.*1 such"):
        training_effect([theirs], [coarser], training_noise([]), seed=1)
    twice = (*theirs, replace(theirs[0], exam="p0B"))
    with pytest.raises(ValueError, match="exam p0B of site north"):
        prediction_effect([twice], [theirs], seed=1)


def test_a_model_that_marks_nothing_is_no_training_of_precision() -> None:
    """Of two models one has a precision: the interval is that of a mean of one, not of two."""
    silent = tuple(replace(one, predicted_lesions=0, false_positives=0) for one in model(0.5, 0.7))
    noise = {measure: Noise(0.1, 4) for measure in STATISTICS}
    ours, theirs = [model(0.5, 0.7), silent], [model(0.5, 0.7), model(0.5, 0.7)]
    effect = training_effect(ours, theirs, noise, seed=1)["lesion_precision"]
    half = float(stats.t.ppf(0.975, 4)) * 0.1 * math.sqrt(1 / 1 + 1 / 2)
    assert ends(effect) == pytest.approx([-half, half])
    assert training_effect([silent], theirs, noise, seed=1)["lesion_precision"].low is None
