import numpy as np
import pytest
from scipy import stats

from common.metrics.intervals import bootstrap_intervals
from common.statistics.subgroup_sums import MEASURES, RatioSums, pool_sums, ratio_interval, site_sums
from tests.common.statistics.cohort import Exam, case, cohort


def test_hand_computed_ratio() -> None:
    found = ratio_interval(RatioSums(patients=3, y=4, x=8, yy=6, xy=10, xx=24))  # 1 of 2, 2 of 2, 1 of 4
    assert found.estimate == 0.5
    assert found.high is not None
    assert (found.high - 0.5) / stats.t.ppf(0.975, 2) == pytest.approx((3 / 2 * 2 / 64) ** 0.5)
    assert ratio_interval(RatioSums(2, 0, 0, 0, 0, 0)).estimate is None


def test_of_equal_denominators_it_is_the_t_interval_of_a_mean() -> None:
    scores = cohort(0, 30)
    sums = site_sums(scores, {}).everyone
    assert sums is not None and sums["dice"] is not None
    found = ratio_interval(sums["dice"])
    expected = stats.ttest_1samp([s.dice for s in scores], 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_pooled_is_what_all_rows_together_give() -> None:
    sites = [cohort(seed, 60, name) for seed, name in ((1, "north"), (2, "south"), (3, "west"))]
    pooled = pool_sums(site_sums(own, {}) for own in sites)["sex"].groups["unknown"]
    rows = bootstrap_intervals([[s for own in sites for s in own]], np.random.default_rng(0))
    assert pooled.sites == 3
    for measure in MEASURES:
        ours, theirs = pooled.intervals[measure], rows[measure]
        assert ours.units == 180
        assert ours.estimate == pytest.approx(theirs.estimate)
        if measure != "fp_per_scan":  # every case has one: both intervals are a point
            assert ours.low == pytest.approx(theirs.low, abs=0.01)
            assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_small_groups_leave_no_site_not_even_by_name() -> None:
    traits = {("north", f"p{n:03d}A"): Exam(primary_cancer="Chordoma" if n < 2 else "Lung") for n in range(40)}
    report = site_sums(cohort(1, 40), traits)
    assert report.fields["primary_cancer"] == {}
    other = {("south", f"p{n:03d}A"): Exam(primary_cancer="Lung") for n in range(20)}
    pooled = pool_sums([report, site_sums(cohort(2, 20, "south"), other)])["primary_cancer"]
    assert list(pooled.groups) == ["lung"]
    assert (pooled.groups["lung"].sites, pooled.groups["lung"].intervals["dice"].units) == (1, 20)
    assert pooled.withheld == 40


def test_a_small_site_says_nothing() -> None:
    report = site_sums(cohort(1, 4), {})
    assert report.everyone is None
    assert not any(report.fields.values())
    assert pool_sums([report])["site"].groups == {}


def test_sensitivity_of_a_few_patients_lesions_stays() -> None:
    scores = [case(f"p{n}", lesions=3 if n < 2 else 0, found=0) for n in range(8)]
    report = site_sums(scores, {})
    assert report.everyone is not None
    assert report.everyone["lesion_sensitivity"] is None
    assert report.everyone["dice"] is not None
    assert report.fields["sex"]["unknown"]["lesion_sensitivity"] is None
    pooled = pool_sums([report])["sex"].groups["unknown"]
    assert pooled.intervals["lesion_sensitivity"].units == 0
    assert pooled.intervals["dice"].units == 8
