"""t1c minus matched t1, on numbers that can be followed by hand."""

import numpy as np
import pytest

from client.data.subtraction import subtract_matched
from common.errors import CaseReason, CaseRejected

BRAIN = np.ones((5, 1, 1), bool)


def volume(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def test_the_docstrings_numbers() -> None:
    pre, post = volume(60, 80, 100, 120, 140), volume(160, 170, 200, 230, 999)
    difference = subtract_matched(post, pre, BRAIN, "exam")
    # quartiles 80, 100, 120 become 170, 200, 230: factor 1.5 about 100 and 200
    assert difference.ravel().tolist() == [20.0, 0.0, 0.0, 0.0, 739.0]


def test_gain_and_offset_of_either_image_leave_the_lesion_alone() -> None:
    rng = np.random.default_rng(1)
    plain = rng.normal(100.0, 15.0, (20, 20, 20)).astype(np.float32)
    lesion = np.zeros(plain.shape, np.float32)
    lesion[3:6, 3:6, 3:6] = 80.0
    brain = np.ones(plain.shape, bool)
    difference = subtract_matched(plain + lesion, plain * np.float32(7.0) - np.float32(40.0), brain, "exam")
    # 27 of 8000 voxels move a quartile a little: of the 80 nothing else is left
    np.testing.assert_allclose(difference, lesion, atol=0.6)


def test_voxels_outside_the_brain_or_of_one_image_alone_do_not_count() -> None:
    pre, post = volume(60, 80, 100, 120, 140, 9e9, np.nan), volume(160, 170, 200, 230, 999, -9e9, 5)
    brain = np.array([True] * 5 + [False, True]).reshape(-1, 1, 1)
    difference = subtract_matched(post, pre, brain, "exam").ravel()
    assert difference[:5].tolist() == [20.0, 0.0, 0.0, 0.0, 739.0] and np.isnan(difference[6])


@pytest.mark.parametrize(
    ("pre", "reason", "words"),
    [
        (volume(5, 5, 5, 5, 9), CaseReason.CONSTANT_IMAGE, "half of the brain is 5 in t1"),
        (volume(*[np.nan] * 5), CaseReason.SEQUENCE_MISMATCH, "share no voxel"),
    ],
)
def test_images_that_cannot_be_matched_are_refused(
    pre: np.ndarray[tuple[int, ...], np.dtype[np.float32]], reason: CaseReason, words: str
) -> None:
    with pytest.raises(CaseRejected, match=words) as caught:
        subtract_matched(volume(1, 2, 3, 4, 5), pre, BRAIN, "exam")
    assert caught.value.reason is reason
