"""What the images show: contrast, vessels, oedema, slices; and that intensity alone does not find lesions."""

import numpy as np
import pytest

from simulation.phantom.anatomy import draw_anatomy
from simulation.phantom.exam import head_scale, sampling_grid
from simulation.phantom.fields import generator
from simulation.phantom.profile import PhantomSection, SiteProfile
from simulation.phantom.tissue import render_tissue
from simulation.phantom.vessels import draw_vasculature, enhancing_fraction
from tests.simulation.phantom.cohorts import DEMO_LIKE, exam_of, section_of
from tests.simulation.phantom.difficulty import best_threshold_dice


def test_brain_volume_and_tissue_shares_are_human() -> None:
    section = PhantomSection(sites=(DEMO_LIKE,))
    grid = sampling_grid(section, DEMO_LIKE)
    volumes = []
    for patient in range(4):
        anatomy = draw_anatomy(generator(0, "a", patient, "anatomy"))
        tissue = render_tissue(anatomy, grid, head_scale(section))
        volumes.append(len(tissue.index) * grid.voxel_volume_mm3 / 1000.0)
        assert np.allclose(tissue.grey + tissue.white + tissue.csf, 1.0, atol=1e-4)
        assert 0.30 < tissue.grey.mean() < 0.50
        assert 0.35 < tissue.white.mean() < 0.55
    assert 1200.0 < np.mean(volumes) < 1700.0  # ml
    assert np.std(volumes) > 10.0


def test_black_blood_suppresses_most_vessels_but_not_all() -> None:
    section = section_of(DEMO_LIKE)
    anatomy = draw_anatomy(generator(0, "a", 0, "anatomy"))
    tissue = render_tissue(anatomy, sampling_grid(section, DEMO_LIKE), head_scale(section))
    vessels = draw_vasculature(generator(0, "a", 0, "vessels"))
    inside = tissue.depth_mm > 4.0  # below the dura, which enhances in either
    gre, black = (
        enhancing_fraction(vessels, anatomy, tissue, kind, generator(0, "a", 0))[inside].sum()
        for kind in ("gre", "black_blood")
    )
    assert 0.1 < black / gre < 0.5


def test_gradient_echo_vessels_are_as_bright_as_lesions() -> None:
    exam = exam_of(DEMO_LIKE, 1)
    black = exam_of(DEMO_LIKE.model_copy(update={"vessels": "black_blood"}), 1)
    image, lesion = exam.images["t1c"].astype(float), exam.annotation.binary > 0
    other = (image > 0) & (exam.annotation.three_class == 0)
    bright = np.median(image[lesion])
    assert np.count_nonzero(image[other] > bright) > 2 * lesion.sum()
    assert np.count_nonzero(image[other] > bright) > 1.5 * np.count_nonzero(black.images["t1c"][other] > bright)


def test_lesions_enhance_and_oedema_is_bright_on_flair() -> None:
    exam = exam_of(DEMO_LIKE, 1)
    labels, brain = exam.annotation.three_class, exam.images["t1c"] > 0
    rest = brain & (labels == 0)
    assert np.median(exam.images["t1c"][labels == 3]) > 1.25 * np.median(exam.images["t1c"][rest])
    assert np.median(exam.images["flair"][labels == 2]) > 1.25 * np.median(exam.images["flair"][rest])
    difference = exam.images["t1c"].astype(int) - exam.images["t1"]
    assert np.array_equal(exam.images["subtraction"], difference)


def test_images_are_zero_outside_the_brain_and_nowhere_inside() -> None:
    exam = exam_of(DEMO_LIKE.model_copy(update={"noise": 0.2}), 2)
    masks = [exam.images[name] != 0 for name in ("t1", "t1c", "flair", "t2")]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)
    assert not np.any(exam.annotation.three_class[~masks[0]])


def test_thick_slices_are_averaged() -> None:
    thin = exam_of(DEMO_LIKE.model_copy(update={"noise": 0.0, "bias_strength": 0.0}))
    thick = exam_of(
        DEMO_LIKE.model_copy(update={"noise": 0.0, "bias_strength": 0.0, "spacing_mm": (2.4, 2.4, 4.8)})
    )
    assert thick.images["t1c"].shape == (64, 72, 32)
    pairs = thin.images["t1c"].reshape(64, 72, 32, 2).astype(float)
    whole = (pairs > 0).all(axis=3)
    assert np.abs(pairs.mean(axis=3) - thick.images["t1c"])[whole].max() <= 1.0


def test_bias_gain_and_noise_follow_the_profile() -> None:
    def spread(**change: float) -> tuple[float, float]:
        image = exam_of(DEMO_LIKE.model_copy(update={"bias_strength": 0.0, "noise": 0.0, **change}))
        values = image.images["t2"][image.images["t2"] > 0].astype(float)
        return float(values.mean()), float(values.std() / values.mean())

    plain, loud, shaded, noisy = spread(), spread(gain=2000.0), spread(bias_strength=0.5), spread(noise=0.2)
    assert loud[0] == pytest.approx(2.0 * plain[0], rel=1e-2)
    assert shaded[1] > 1.2 * plain[1]
    assert noisy[1] > 1.05 * plain[1]


def test_a_threshold_on_intensity_finds_little() -> None:
    sites = (
        DEMO_LIKE,
        DEMO_LIKE.model_copy(update={"name": "black", "vessels": "black_blood"}),
        DEMO_LIKE.model_copy(update={"name": "weak", "field_strength_t": 1.5, "bias_strength": 0.3}),
    )
    exams = [exam_of(site, patient) for site in sites for patient in range(3)]
    dice = best_threshold_dice([exam.images["t1c"] for exam in exams], [exam.annotation.binary for exam in exams])
    assert 0.05 < dice < 0.27


def test_best_threshold_dice_of_a_separable_case_is_one() -> None:
    image = np.arange(1.0, 28.0).reshape(3, 3, 3)
    assert best_threshold_dice([image], [(image > 20).astype(np.uint8)]) == pytest.approx(1.0)
    assert best_threshold_dice([image], [(image == 14).astype(np.uint8)]) == pytest.approx(2.0 / 15.0, abs=0.02)


def test_profile_default_is_a_gradient_echo_site() -> None:
    assert SiteProfile(name="a", patients=1).vessels == "gre"
