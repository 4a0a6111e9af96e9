import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from common.metrics.scores import CaseScores, LesionScore
from simulation.report.pictures import slice_panels
from simulation.report.slices import choose_cases, cut_slice


def case(exam: str, dice: float, lesions: int = 1) -> CaseScores:
    return CaseScores(exam, exam, "s", dice, (LesionScore(30.0, True),) * lesions, 1, 0)


def test_best_median_and_worst_have_lesions() -> None:
    scores = [case("empty", 1.0, 0), *(case(f"e{i}", i / 10) for i in range(1, 6))]
    assert [(title, score.exam) for title, score, _ in choose_cases(scores)] == [
        ("best", "e5"),
        ("median", "e3"),
        ("worst", "e1"),
    ]
    assert [title for title, _, _ in choose_cases(scores[:3])] == ["best", "worst"]
    assert [score.exam for _, score, _ in choose_cases(scores[:1])] == ["empty"]
    assert choose_cases([]) == ()


def test_goes_through_the_largest_lesion_or_the_largest_error() -> None:
    reference = np.zeros((20, 24, 16), np.uint8)
    reference[3:7, 4:8, 5:8] = 1
    reference[15, 15, 12] = 1
    prediction = reference.copy()
    prediction[10:13, 10:13, 2:5] = 1
    image = {"t1c": np.ones(reference.shape, np.float32)}
    lesion = cut_slice("best", case("e", 0.5), image, reference, prediction, (1.0, 2.0, 3.0))
    error = cut_slice("worst", case("e", 0.5), image, reference, prediction, (1.0, 2.0, 3.0), "largest error")
    assert lesion.remark == "slice 7 of 16, through the largest lesion"
    assert error.remark == "slice 4 of 16, through the largest error"
    assert lesion.reference[lesion.focus]
    assert error.prediction[error.focus]
    assert lesion.pixel_mm == (2.0, 1.0)


def test_seen_from_the_feet() -> None:
    """A voxel at the patient's right front must be at the picture's left top."""
    reference = np.zeros((10, 12, 3), np.uint8)
    reference[9, 11, 1] = 1
    shown = cut_slice("x", case("e", 0.5), {"t1c": reference.astype(float)}, reference, reference, (1.0, 1.0, 1.0))
    assert shown.reference.shape == (12, 10)
    assert shown.reference[0, 0]
    assert shown.focus == (0, 0)


def test_black_outside_the_brain_and_lit_inside() -> None:
    rng = np.random.default_rng(0)
    brain = np.zeros((8, 8, 4), bool)
    brain[2:6, 2:6] = True
    image = np.where(brain, rng.normal(size=brain.shape), 0.0)
    shown = cut_slice("x", case("e", 0.5), {"t1c": image}, brain * 0, brain * 0, (1.0, 1.0, 1.0), brain_mask=brain)
    grey = shown.images["t1c"]
    assert grey[0, 0] == 0.0
    assert grey[2:6, 2:6].min() > 0.05
    assert grey.max() <= 1.0
    assert "neither lesion nor error" in shown.remark


def test_refuses_another_grid() -> None:
    mask = np.zeros((4, 4, 4), bool)
    with pytest.raises(ValueError, match=r"exam e: flair has shape \(4, 4, 5\), the reference \(4, 4, 4\)"):
        cut_slice("x", case("e", 0.5), {"flair": np.zeros((4, 4, 5))}, mask, mask, (1, 1, 1), brain_mask=mask)


def test_panels_draw_both_outlines_in_their_colours() -> None:
    reference = np.zeros((40, 40, 5), np.uint8)
    reference[10:20, 10:20, 1:4] = 1
    prediction = np.roll(reference, 4, axis=0)
    images = {
        "flair": np.full(reference.shape, 0.5),
        "t2": np.ones(reference.shape),
        "t1c": np.ones(reference.shape),
    }
    example = cut_slice("x", case("e", 0.5), images, reference, prediction, (1.0, 1.0, 1.0))
    panels = slice_panels(example)
    assert [panel.caption for panel in panels] == [
        "T1c with outlines",
        "FLAIR with outlines",
        "T1c, close-up",
        "T1c, close-up with outlines",
    ]
    plain, outlined = (
        imread(io.BytesIO(base64.b64decode(panel.uri.split(",")[1])))[..., :3] for panel in panels[2:]
    )
    yellow = (outlined[..., 0] > 0.8) & (outlined[..., 1] > 0.8) & (outlined[..., 2] < 0.4)
    blue = (outlined[..., 2] > 0.8) & (outlined[..., 0] < 0.5)
    assert yellow.sum() > 200
    assert blue.sum() > 100
    assert np.ptp(plain, axis=-1).max() == 0.0  # grey only
