"""Annotation styles: missed tiny lesions, tight and wide outlines."""

import numpy as np
import pytest

from simulation.phantom.profile import SiteProfile
from simulation.phantom.tissue import Tissue
from tests.simulation.phantom.cohorts import DEMO_LIKE, exam_of, labels_of, tissue_of

SMALL = SiteProfile(
    name="s", patients=1, volume_median_mm3=40.0, volume_sigma=0.6, lesion_count_mu=9.0, giant_share=0.0
)


def tiny_found(share: float, tissue: Tissue) -> tuple[int, int, int]:
    """Tiny lesions annotated, tiny lesions missed, larger lesions missed, over some exams."""
    found = missed = larger = 0
    profile = SMALL.model_copy(update={"miss_tiny_share": share})
    for patient in range(30):
        lesions, annotation = labels_of(profile, tissue, patient)
        for rendered in lesions:
            slot, tiny = rendered.lesion.slot, 2.0 * rendered.lesion.radius_mm < 5.0
            found += tiny and annotation.voxels[slot] > 0
            missed += tiny and slot in annotation.missed
            larger += not tiny and slot in annotation.missed
    return found, missed, larger


def test_a_share_of_tiny_lesions_is_missed_and_no_others() -> None:
    tissue = tissue_of(SMALL)
    found, missed, larger = tiny_found(0.0, tissue)
    assert (missed, larger) == (0, 0)
    fewer, missed, larger = tiny_found(0.4, tissue)
    assert fewer + missed == found
    assert missed / found == pytest.approx(0.4, abs=0.13)
    assert larger == 0


def test_missed_lesions_stay_in_the_images() -> None:
    every, none = (
        exam_of(SMALL.model_copy(update={"miss_tiny_share": share}), 1, lesion_scale=1.0) for share in (0.0, 1.0)
    )
    assert none.annotation.missed
    assert np.array_equal(every.images["t1c"], none.images["t1c"])
    assert none.annotation.binary.sum() < every.annotation.binary.sum()


def test_boundary_moves_by_one_voxel() -> None:
    tight, true, wide = (
        exam_of(DEMO_LIKE.model_copy(update={"boundary_shift_voxels": shift, "max_lesions": 2}), 1).annotation
        for shift in (-1, 0, 1)
    )
    assert set(tight.voxels) == set(true.voxels) == set(wide.voxels)
    for slot, voxels in true.voxels.items():
        radius = np.cbrt(3.0 * voxels / (4.0 * np.pi))
        assert 0 < tight.voxels[slot] < voxels < wide.voxels[slot]
        assert np.cbrt(3.0 * wide.voxels[slot] / (4.0 * np.pi)) - radius == pytest.approx(0.85, abs=0.35)


def test_a_tight_outline_never_loses_a_lesion() -> None:
    profile = SMALL.model_copy(
        update={"boundary_shift_voxels": -1, "volume_median_mm3": 80.0, "volume_sigma": 0.1}
    )
    exam = exam_of(profile, 2, lesion_scale=1.0)
    assert exam.lesions
    assert all(voxels >= 1 for voxels in exam.annotation.voxels.values())


def test_thick_slices_are_widened_within_the_slice_only() -> None:
    profile = DEMO_LIKE.model_copy(update={"spacing_mm": (2.4, 2.4, 6.0), "max_lesions": 1})
    true, wide = (
        exam_of(profile.model_copy(update={"boundary_shift_voxels": shift}), 1).annotation.binary
        for shift in (0, 1)
    )
    assert np.array_equal(true.any(axis=(0, 1)), wide.any(axis=(0, 1)))
    assert wide.sum() > true.sum()


def test_three_classes_nest() -> None:
    labels = np.concatenate([exam_of(DEMO_LIKE, patient).annotation.three_class.ravel() for patient in range(4)])
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert np.count_nonzero(labels == 3) > np.count_nonzero(labels == 1)
