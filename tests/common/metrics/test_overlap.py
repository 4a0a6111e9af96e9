import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric

from common.metrics.overlap import crop_to_content, dice


def test_agrees_with_monai() -> None:
    rng = np.random.default_rng(1)
    metric = DiceMetric(include_background=True, reduction="none")
    for density in (0.02, 0.3, 0.9):
        prediction, reference = rng.random((2, 12, 9, 7)) < density
        expected = metric(torch.tensor(prediction)[None, None], torch.tensor(reference)[None, None])
        assert dice(prediction, reference) == pytest.approx(float(expected), abs=1e-6)


def test_empty_masks() -> None:
    empty, full = np.zeros((3, 3, 3), np.uint8), np.ones((3, 3, 3), np.uint8)
    assert dice(empty, empty) == 1.0
    assert dice(empty, full) == 0.0
    assert dice(full, empty) == 0.0


def test_any_class_is_foreground() -> None:
    assert dice(np.array([0, 3, 2, 0]), np.array([1, 1, 1, 0])) == pytest.approx(2 * 2 / 5)


def test_refuses_other_shapes_by_name() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\), reference \(3, 2\)"):
        dice(np.zeros((2, 3)), np.zeros((3, 2)))


def test_crop_is_the_smallest_box_of_both() -> None:
    prediction, reference = np.zeros((2, 10, 10, 10), np.uint8)
    prediction[2, 3, 4] = 1
    reference[5, 3, 9] = 1
    cropped = crop_to_content(prediction, reference)
    assert [part.shape for part in cropped] == [(4, 1, 6), (4, 1, 6)]
    assert [int(part.sum()) for part in cropped] == [1, 1]
    assert crop_to_content(prediction * 0, reference * 0)[0].size == 0
