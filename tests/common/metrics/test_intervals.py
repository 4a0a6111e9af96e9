import numpy as np
import pytest
from scipy import stats

from common.metrics.intervals import (
    STATISTICS,
    Interval,
    bootstrap_intervals,
    paired_intervals,
    ratio_intervals,
    t_interval,
)
from common.metrics.scores import CaseScores, LesionScore, summarise


def cohort(seed: int, patients: int = 40, shift: float = 0.0, exams: int = 1) -> list[CaseScores]:
    rng = np.random.default_rng(seed)
    scores = []
    for patient in range(patients):
        skill = rng.uniform(0.2, 0.8) + shift
        for exam in range(exams):
            lesions = tuple(
                LesionScore(float(rng.lognormal(3.7, 2.1)), bool(rng.random() < skill))
                for _ in range(int(rng.integers(1, 9)))
            )
            dice = float(np.clip(skill + rng.normal(0, 0.05), 0, 1))
            scores.append(
                CaseScores(f"p{patient}", f"p{patient}-{exam}", "s", dice, lesions, 5, int(rng.integers(3)))
            )
    return scores


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


def test_estimates_are_the_summary() -> None:
    scores = cohort(1, exams=2)
    intervals, summary = bootstrap_intervals([scores], np.random.default_rng(0)), summarise(scores)
    assert set(intervals) == set(STATISTICS)
    for name in ("dice", "lesion_sensitivity", "lesion_precision", "fp_per_scan"):
        assert intervals[name].estimate == pytest.approx(getattr(summary, name))
        low, high = ends(intervals[name])
        assert low < getattr(summary, name) < high
    for band, share in summary.sensitivity_by_volume.items():
        assert intervals[f"sensitivity_{band}"].estimate == pytest.approx(share.value)


def test_mean_dice_agrees_with_scipy() -> None:
    scores = cohort(2)
    expected = stats.bootstrap(
        ([score.dice for score in scores],),
        np.mean,
        n_resamples=9999,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    interval = bootstrap_intervals([scores], np.random.default_rng(6), replicates=9999)["dice"]
    assert ends(interval) == pytest.approx((expected.low, expected.high), abs=4e-3)


def test_sensitivity_agrees_with_a_slow_resampling_of_patients() -> None:
    scores, rng = cohort(3, patients=15, exams=2), np.random.default_rng(7)
    names = sorted({score.patient for score in scores})
    slow = []
    for _ in range(3000):
        drawn = [score for name in rng.choice(names, len(names)) for score in scores if score.patient == name]
        slow.append(summarise(drawn).lesion_sensitivity)
    interval = bootstrap_intervals([scores], np.random.default_rng(8), 3000)["lesion_sensitivity"]
    low, high = np.percentile(np.array(slow, float), [2.5, 97.5])
    assert ends(interval) == pytest.approx((low, high), abs=0.012)


def test_exams_of_a_patient_are_not_independent() -> None:
    """Every exam doubled tells nothing new: the interval must not shrink."""
    scores = cohort(4)
    again = [CaseScores(s.patient, s.exam + "-b", s.site, s.dice, s.lesions, 5, s.false_positives) for s in scores]
    once = bootstrap_intervals([scores], np.random.default_rng(1))["dice"]
    twice = bootstrap_intervals([[*scores, *again]], np.random.default_rng(1))["dice"]
    assert ends(twice) == pytest.approx(ends(once))
    assert twice.units == 40


def test_pairing_cancels_what_patients_share() -> None:
    first, second = cohort(5, shift=0.05), cohort(5)
    difference = paired_intervals([first], [second], "difference", np.random.default_rng(2))["dice"]
    assert difference.estimate == pytest.approx(0.05, abs=2e-3)
    low, high = ends(difference)
    assert high - low < 0.01  # each arm alone is sure to 0.1 only
    ratio = paired_intervals([first], [second], "ratio", np.random.default_rng(2))["dice"]
    means = [float(np.mean([score.dice for score in arm])) for arm in (first, second)]
    assert ratio.estimate == pytest.approx(means[0] / means[1])


def test_same_seed_same_interval_whatever_the_order() -> None:
    scores = cohort(6)
    forward = bootstrap_intervals([scores], np.random.default_rng(3))
    assert bootstrap_intervals([scores[::-1]], np.random.default_rng(3)) == forward


def test_refuses_arms_on_other_patients() -> None:
    with pytest.raises(ValueError, match="patient p9 of site s was judged in one arm only"):
        paired_intervals([cohort(1, 10)], [cohort(1, 9)], "ratio", np.random.default_rng(0))


def test_undefined_is_none_never_nan() -> None:
    healthy = [CaseScores(f"p{i}", f"e{i}", "s", 1.0, (), 0, 0) for i in range(3)]
    intervals = bootstrap_intervals([healthy], np.random.default_rng(0))
    assert intervals["lesion_sensitivity"].to_dict() == {"estimate": None, "low": None, "high": None, "units": 3}
    assert intervals["dice"].estimate == 1.0
    ratio = paired_intervals([healthy], [healthy], "ratio", np.random.default_rng(0))["fp_per_scan"]
    assert ratio.estimate is None
    assert bootstrap_intervals([healthy[:1]], np.random.default_rng(0))["dice"].low is None
    assert bootstrap_intervals([[]], np.random.default_rng(0))["dice"].units == 0


def test_one_patient_with_all_the_lesions_of_a_size_gives_no_interval() -> None:
    """Every draw that holds the patient has the same share: no width, and a verdict from one brain."""

    def model(found: bool) -> list[CaseScores]:
        small = (LesionScore(10.0, True),)
        large = CaseScores("p0", "p0A", "s", 0.5, (*small, LesionScore(900.0, found)), 3, 1)
        return [large, *(CaseScores(f"p{one}", f"p{one}A", "s", 0.5, small, 3, 1) for one in range(1, 9))]

    rng = np.random.default_rng(1)
    alone, paired = (
        bootstrap_intervals([model(True)], rng),
        paired_intervals([model(True)], [model(False)], "difference", rng),
    )
    assert alone["sensitivity_over_275"] == paired["sensitivity_over_275"] == Interval(1.0, None, None, 9)
    assert alone["sensitivity_under_27"].low == 1.0
    ratios = ratio_intervals({"one": [(1.0, 2.0), (0.0, 0.0)], "two": [(1.0, 2.0), (0.0, 2.0)]}, rng)
    assert (ratios["one"].low, ratios["two"].low) == (None, 0.0)


def test_ratios_of_sums_agree_with_the_patients_own() -> None:
    scores = cohort(9)
    ratios: dict[str, list[tuple[float, float]]] = {
        "dice": [(score.dice, 1.0) for score in scores],
        "lesion_sensitivity": [(sum(le.detected for le in score.lesions), len(score.lesions)) for score in scores],
        "nothing": [(0.0, 0.0)] * len(scores),
    }
    ours = ratio_intervals(ratios, np.random.default_rng(4), 4000)
    theirs = bootstrap_intervals([scores], np.random.default_rng(5), 4000)
    for name in ("dice", "lesion_sensitivity"):
        assert ours[name].estimate == pytest.approx(theirs[name].estimate)
        assert ends(ours[name]) == pytest.approx(ends(theirs[name]), abs=0.01)
    assert ours["nothing"] == Interval(None, None, None, 40)
    assert ratio_intervals({}, np.random.default_rng(0)) == {}


def test_t_interval_agrees_with_scipy() -> None:
    values = [0.95, 0.97, 0.99]
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    interval = t_interval(values)
    assert ends(interval) == pytest.approx((expected.low, expected.high))
    assert ends(interval) == pytest.approx((0.9203, 1.0197), abs=1e-4)
    assert t_interval([0.5]).low is None
    assert t_interval([]).estimate is None
