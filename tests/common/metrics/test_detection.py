import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from common.metrics.detection import label_lesions, lesion_volumes_mm3, match_lesions

CORNERS_TOUCH = np.ones((3, 3, 3), int)


def blobs(seed: int, density: float = 0.06) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(seed).random((20, 18, 16)) < density


def slow_match(
    prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]
) -> tuple[list[tuple[int, bool]], int, int]:
    """The matching rule lesion by lesion, with scipy's components."""
    ours, lesions = ndimage.label(reference, CORNERS_TOUCH)
    theirs, predicted = ndimage.label(prediction, CORNERS_TOUCH)
    found = [(int((ours == i).sum()), bool(prediction[ours == i].any())) for i in range(1, lesions + 1)]
    false = sum(not reference[theirs == i].any() for i in range(1, predicted + 1))
    return sorted(found), predicted, false


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scipy_lesion_by_lesion(seed: int) -> None:
    prediction, reference = blobs(seed), blobs(seed + 100)
    match = match_lesions(prediction, reference)
    found = sorted((int(v), bool(d)) for v, d in zip(match.reference_voxels, match.detected, strict=True))
    assert (found, match.predicted_lesions, match.false_positives) == slow_match(prediction, reference)
    assert {detected for _, detected in found} == {True, False}


def test_corner_neighbours_are_one_lesion() -> None:
    assert label_lesions(np.eye(3)[:, :, None] * np.eye(3)[None])[1] == 1


def test_one_blob_over_two_lesions_finds_both() -> None:
    reference = np.zeros((1, 1, 9), bool)
    reference[..., 1:3] = reference[..., 5:8] = True
    prediction = np.zeros_like(reference)
    prediction[..., 2:6] = True
    match = match_lesions(prediction, reference)
    assert match.detected.tolist() == [True, True]
    assert (match.predicted_lesions, match.false_positives) == (1, 0)


def test_empty_masks() -> None:
    empty = np.zeros((4, 4, 4), np.uint8)
    one = empty.copy()
    one[1, 1, 1] = 1
    nothing = match_lesions(empty, empty)
    assert (nothing.reference_voxels.size, nothing.predicted_lesions, nothing.false_positives) == (0, 0, 0)
    assert match_lesions(one, empty).false_positives == 1
    assert match_lesions(empty, one).detected.tolist() == [False]
    assert label_lesions(np.zeros((0, 4, 4)))[1] == 0


def test_volumes_are_voxels_times_voxel_volume() -> None:
    mask = blobs(3)
    labels, count = ndimage.label(mask, CORNERS_TOUCH)
    expected = ndimage.sum_labels(mask, labels, range(1, count + 1)) * 2.5
    assert sorted(lesion_volumes_mm3(mask, 2.5)) == pytest.approx(sorted(expected))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 6, 1), (3, 3, 3), (1, 11, 10)])
def test_boxes_as_full_of_lesions_as_can_be(shape: tuple[int, int, int]) -> None:
    mask = np.zeros(shape, bool)
    mask[::2, ::2, ::2] = True
    assert label_lesions(mask)[1] == ndimage.label(mask, CORNERS_TOUCH)[1]
