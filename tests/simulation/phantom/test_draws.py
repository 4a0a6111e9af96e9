"""Drawn counts and volumes against the published quantiles; no voxels."""

import numpy as np
import pytest
from scipy import stats

from simulation.phantom.lesions import MAX_VOLUME_MM3, draw_lesions
from simulation.phantom.profile import SiteProfile

PATIENTS = 2500
PROFILE = SiteProfile(name="calibrated", patients=1, max_lesions=400)


@pytest.fixture(scope="module")
def exams() -> list[list[float]]:
    return [
        [lesion.volume_mm3 for lesion in draw_lesions(PROFILE, 1.0, 11, patient, 0)] for patient in range(PATIENTS)
    ]


@pytest.fixture(scope="module")
def volumes(exams: list[list[float]]) -> np.ndarray:
    return np.array([volume for exam in exams for volume in exam])


# Tolerances: four standard errors of a share among 2,500 exams are 0.033 at most, among 20,000 lesions 0.014; the
# published volumes are no lognormal, to which 0.02 is allowed on top.
def test_counts_match_the_published_shares(exams: list[list[float]]) -> None:
    counts = np.array([len(exam) for exam in exams])
    assert np.mean(counts == 0) == pytest.approx(0.035, abs=0.015)
    assert np.mean(counts == 1) == pytest.approx(0.211, abs=0.035)
    assert np.mean(counts >= 2) == pytest.approx(0.753, abs=0.035)
    assert counts.mean() == pytest.approx(7.81, rel=0.12)  # one standard error is 3 %


def test_volumes_match_the_published_quantiles(volumes: np.ndarray) -> None:
    assert np.median(volumes) == pytest.approx(39.7, rel=0.08)
    assert np.mean(volumes < 27.0) == pytest.approx(0.412, abs=0.034)
    assert np.mean((volumes >= 27.0) & (volumes <= 275.0)) == pytest.approx(0.395, abs=0.034)
    assert np.mean(volumes > 275.0) == pytest.approx(0.193, abs=0.034)
    assert volumes.mean() == pytest.approx(569.0, rel=0.25)  # heavy tail: one standard error is about 7 %
    assert volumes.max() <= MAX_VOLUME_MM3


def test_counts_are_the_zero_truncated_negative_binomial(exams: list[list[float]]) -> None:
    counts = np.array([len(exam) for exam in exams])
    law = stats.nbinom(0.30, 0.30 / 4.89)
    for count in (1, 2, 3, 5):
        expected = 0.965 * law.pmf(count) / (1.0 - law.pmf(0))
        error = np.sqrt(expected * (1 - expected) / PATIENTS)
        assert np.mean(counts == count) == pytest.approx(expected, abs=4 * error)


def test_later_exams_keep_the_distribution_and_follow_the_same_lesions() -> None:
    profile = SiteProfile(name="follow-up", patients=1)
    pairs = [(draw_lesions(profile, 1.0, 5, p, 0), draw_lesions(profile, 1.0, 5, p, 2)) for p in range(1200)]
    later = np.array([lesion.volume_mm3 for _, exam in pairs for lesion in exam])
    assert np.median(later) == pytest.approx(40.6, rel=0.12)
    assert np.mean([len(exam) for _, exam in pairs]) == pytest.approx(7.7, rel=0.2)
    both = [(a.volume_mm3, b.volume_mm3) for x, y in pairs for a, b in zip(x, y, strict=False)]
    correlation = stats.spearmanr(np.array(both)).statistic
    assert correlation == pytest.approx(0.97**2, abs=0.02)


def test_lesion_scale_multiplies_diameters() -> None:
    profile = SiteProfile(name="scaled", patients=1, giant_share=0.0, volume_sigma=0.5)
    for one, three in zip(draw_lesions(profile, 1.0, 3, 7, 0), draw_lesions(profile, 3.0, 3, 7, 0), strict=True):
        assert three.diameter_mm == pytest.approx(3.0 * one.diameter_mm)


def test_count_is_capped() -> None:
    profile = SiteProfile(name="capped", patients=1, lesion_count_mu=500.0, lesion_count_dispersion=5.0)
    assert len(draw_lesions(profile, 1.0, 0, 0, 0)) == profile.max_lesions
