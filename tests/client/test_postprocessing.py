"""Clean-up by hand on volumes of a few voxels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError
from scipy import ndimage

from client.data.case import Grid
from client.postprocessing import Cleaned, Removed, clean, clean_native
from common.plan import EvaluationSpec, Plan, PostprocessingSpec
from tests.client.prepared import case_of

SHAPE = (12, 6, 5)
EVERYWHERE = np.ones(SHAPE, bool)


def plan_with(spec: PostprocessingSpec, tumour: tuple[str, ...] = ()) -> Plan:
    labels = ("core", "oedema")
    evaluation = EvaluationSpec(tumour=tumour)
    return Plan(
        name="p", sites=("a",), sequences=("t1c",), labels=labels, evaluation=evaluation, postprocessing=spec
    )


def grid_of(*spacing_mm: float, shape: tuple[int, int, int] = SHAPE) -> Grid:
    return Grid(shape, np.diag([*spacing_mm, 1.0]))


def volume(*boxes: tuple[slice, slice, slice], klass: int = 1) -> npt.NDArray[np.uint8]:
    mask = np.zeros(SHAPE, np.uint8)
    for box in boxes:
        mask[box] = klass
    return mask


def cleaned(
    mask: npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    brain: npt.NDArray[np.bool_] | None = None,
    tumour: tuple[str, ...] = (),
    **settings: Any,
) -> Cleaned:
    spec = PostprocessingSpec.model_validate(settings)
    return clean(mask, grid_of(*spacing_mm), plan_with(spec, tumour), brain)


FOUR = (slice(0, 2), slice(0, 2), slice(0, 1))
ONE = (slice(5, 6), slice(3, 4), slice(2, 3))
EIGHT = (slice(8, 10), slice(0, 2), slice(0, 2))


def test_the_defaults_return_the_very_mask() -> None:
    mask = volume(FOUR, ONE)
    result = cleaned(mask)
    assert result.mask is mask
    assert (result.outside_brain, result.too_small) == (Removed(), Removed())


@pytest.mark.parametrize(
    ("spacing_mm", "min_lesion_mm3", "kept_voxels", "removed"),
    [
        ((1.0, 1.0, 1.0), 1.0, 13, Removed(0, 0.0)),
        ((1.0, 1.0, 1.0), 1.1, 12, Removed(1, 1.0)),
        ((1.0, 1.0, 1.0), 8.0, 8, Removed(2, 5.0)),
        ((1.0, 1.0, 1.0), 8.1, 0, Removed(3, 13.0)),
        ((1.0, 1.0, 2.0), 8.0, 12, Removed(1, 2.0)),  # four voxels of 2 mm3 are 8 mm3, and stay
        ((1.0, 1.0, 2.0), 8.1, 8, Removed(2, 10.0)),
        ((0.5, 0.5, 4.0), 4.1, 8, Removed(2, 5.0)),
    ],
)
def test_small_lesions_go_by_the_headers_volume(
    spacing_mm: tuple[float, float, float], min_lesion_mm3: float, kept_voxels: int, removed: Removed
) -> None:
    mask = volume(FOUR, ONE, EIGHT)
    result = cleaned(mask, spacing_mm, min_lesion_mm3=min_lesion_mm3)
    assert np.count_nonzero(result.mask) == kept_voxels
    assert result.too_small == removed
    assert np.count_nonzero(mask) == 13  # the caller's own is untouched


def test_a_spacing_that_float32_rounded_down_takes_no_voxel_away() -> None:
    edge_mm = float(np.nextafter(np.float32(1.0), np.float32(0.0)))
    result = cleaned(volume(EIGHT), (edge_mm, edge_mm, edge_mm), min_lesion_mm3=8.0)
    assert np.count_nonzero(result.mask) == 8


def test_voxels_that_share_a_corner_are_one_lesion_as_in_the_metrics() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 2] = 1
    assert np.count_nonzero(cleaned(mask, min_lesion_mm3=3.0).mask) == 3
    assert np.count_nonzero(cleaned(mask, min_lesion_mm3=3.1).mask) == 0


def test_classes_of_the_tumour_are_measured_together_and_others_left_alone() -> None:
    mask = volume(FOUR)
    mask[2:4, :2, 0] = 2  # touches the four voxels of class 1
    assert np.count_nonzero(cleaned(mask, min_lesion_mm3=8.0).mask) == 8
    alone = cleaned(mask, min_lesion_mm3=8.0, tumour=("core",))
    assert np.unique(alone.mask[alone.mask > 0]).tolist() == [2]
    assert alone.too_small == Removed(1, 4.0)


def test_a_lesion_mostly_outside_the_brain_goes_whole_and_the_others_stay_whole() -> None:
    brain = np.zeros(SHAPE, bool)
    brain[:6] = True
    inside = (slice(4, 7), slice(0, 1), slice(0, 1))  # two of three voxels in the brain
    outside = (slice(5, 8), slice(4, 5), slice(4, 5))  # one of three
    result = cleaned(volume(inside, outside), (1.0, 1.0, 3.0), brain, outside_brain="lesions")
    np.testing.assert_array_equal(result.mask, volume(inside))
    assert result.outside_brain.lesions == 1
    assert result.outside_brain.volume_mm3 == pytest.approx(9.0)
    strict = cleaned(volume(inside, outside), brain=brain, outside_brain="lesions", min_inside_share=0.7)
    assert strict.outside_brain == Removed(2, 6.0)


def test_exactly_the_least_share_stays() -> None:
    brain = np.zeros(SHAPE, bool)
    brain[:6] = True
    half = (slice(5, 7), slice(0, 1), slice(0, 1))
    assert cleaned(volume(half), brain=brain, outside_brain="lesions").outside_brain == Removed()


@pytest.mark.parametrize(
    ("spacing_mm", "margin_mm", "kept"),
    [
        ((1.0, 1.0, 1.0), 0.9, True),  # the nearest outside voxel is 2 mm from voxel 4, 1 mm from voxel 5
        ((1.0, 1.0, 1.0), 1.0, True),  # voxel 5 is out, voxel 4 in: half
        ((1.0, 1.0, 1.0), 2.0, False),
        ((2.0, 1.0, 1.0), 2.0, True),
        ((2.0, 1.0, 1.0), 3.9, True),
        ((2.0, 1.0, 1.0), 4.0, False),
    ],
)
def test_the_brain_is_shrunk_in_millimetres(
    spacing_mm: tuple[float, float, float], margin_mm: float, kept: bool
) -> None:
    brain = np.zeros(SHAPE, bool)
    brain[:6] = True  # along y and z the field of view ends in the brain: no margin there
    near = (slice(4, 6), slice(0, 1), slice(0, 1))
    result = cleaned(volume(near), spacing_mm, brain, outside_brain="lesions", brain_margin_mm=margin_mm)
    assert bool(result.mask.any()) is kept


@pytest.mark.parametrize("margin_mm", [1.0, 2.5, 6.0])
def test_cut_to_a_box_the_margin_is_that_of_the_whole_volume(margin_mm: float) -> None:
    """The whole volume's distances, from scipy, against what is computed around the lesions alone."""
    rng, shape, spacing_mm = np.random.default_rng(4), (30, 24, 20), (0.9, 1.1, 2.5)
    middle = (np.moveaxis(np.indices(shape), 0, -1) - np.array(shape) / 2) / (13, 10, 8)
    brain = (middle**2).sum(axis=-1) < 1.0
    mask = (rng.random(shape) > 0.99).astype(np.uint8)
    settings = {"outside_brain": "lesions", "brain_margin_mm": margin_mm}
    plan = plan_with(PostprocessingSpec.model_validate(settings))
    got = clean(mask, grid_of(*spacing_mm, shape=shape), plan, brain)
    shrunk = ndimage.distance_transform_edt(brain, sampling=spacing_mm) > margin_mm
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    expected = np.zeros(shape, bool)
    for number in range(1, count + 1):
        expected |= (labels == number) & (shrunk[labels == number].mean() >= 0.5)
    np.testing.assert_array_equal(got.mask > 0, expected)
    assert 0 < np.count_nonzero(expected) < np.count_nonzero(mask)


def test_a_brain_that_fills_the_volume_loses_nothing() -> None:
    mask = volume(FOUR)
    settings: dict[str, Any] = {"outside_brain": "lesions", "brain_margin_mm": 50.0}
    assert cleaned(mask, brain=EVERYWHERE, **settings).outside_brain == Removed()
    assert cleaned(np.zeros(SHAPE, np.uint8), brain=EVERYWHERE, **settings).outside_brain == Removed()


def test_the_brain_comes_from_the_prepared_case_onto_the_native_grid() -> None:
    brain = np.zeros(SHAPE, np.uint8)
    brain[:6] = 1
    case = case_of("p", np.zeros((1, *SHAPE), np.float32), None, brain)
    mask = volume((slice(0, 1), slice(0, 1), slice(0, 1)), ONE, (slice(9, 10), slice(1, 2), slice(1, 2)))
    result = clean_native(mask, case, plan_with(PostprocessingSpec(outside_brain="lesions")))
    assert result.outside_brain == Removed(1, 1.0)
    assert not result.mask[9].any()


def test_lesions_without_a_brain_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"needs a brain mask of shape \(12, 6, 5\), got none"):
        cleaned(volume(FOUR), outside_brain="lesions")


@pytest.mark.parametrize(
    "settings", [{"brain_margin_mm": 2.0}, {"outside_brain": "keep", "min_inside_share": 0.2}]
)
def test_a_margin_without_lesions_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="these two need outside_brain = 'lesions'"):
        PostprocessingSpec.model_validate(settings)
