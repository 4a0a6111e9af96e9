"""Every point of a curve is what the plan's own clean-up and scoring give at that threshold."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from client.data.case import PreparedCase
from client.evaluation import score_mask
from client.exam_curve import curve_of_exam, tumour_probability
from client.prediction import finished_mask, probability_to_mask
from client.tumour import tumour_of_mask
from common.metrics.froc import THRESHOLDS
from common.plan import Plan
from tests.client.prepared import case_of

SHAPE = (22, 18, 16)
CLEAN_UPS: tuple[dict[str, Any], ...] = (
    {},
    {"min_lesion_mm3": 6.0},
    {"outside_brain": "lesions"},
    {"outside_brain": "lesions", "brain_margin_mm": 2.5, "min_inside_share": 0.7, "min_lesion_mm3": 4.0},
)


def plan(postprocessing: dict[str, Any], *tumour: str, threshold: float = 0.5) -> Plan:
    values: dict[str, Any] = {
        "name": "p",
        "sequences": ["t1c"],
        "labels": ["netc", "snfh", "et"],
        "sites": ["a"],
        "evaluation": {"tumour": tumour, "threshold": threshold},
        "postprocessing": postprocessing,
    }
    return Plan.model_validate(values, strict=False)


def drawn_case(seed: int) -> tuple[PreparedCase, np.ndarray]:
    """Smooth noise as logits of three classes, lesions near their peaks, and a brain that is not everything."""
    rng = np.random.default_rng(seed)
    logits = np.stack([ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.2) for _ in range(4)]) * 14.0
    logits[0] += 2.0
    odds = np.exp(logits)
    probabilities = (odds[1:] / odds.sum(axis=0)).astype(np.float32)
    label = np.where(np.roll(probabilities.max(axis=0), 1, 0) > 0.9, probabilities.argmax(axis=0) + 1, 0)
    brain = np.zeros(SHAPE, np.uint8)
    brain[3:18, 2:15, :] = 1
    return case_of(f"c{seed}", np.zeros((1, *SHAPE), np.float32), label.astype(np.uint8), brain), probabilities


@pytest.mark.parametrize("clean_up", CLEAN_UPS)
@pytest.mark.parametrize("tumour", [(), ("netc", "et")])
def test_counts_are_the_scores_at_every_threshold(clean_up: dict[str, Any], tumour: tuple[str, ...]) -> None:
    case, probabilities = drawn_case(3)
    curve = curve_of_exam(probabilities, case, "a", plan(clean_up, *tumour))
    for place, threshold in list(enumerate(THRESHOLDS))[::3]:
        own = plan(clean_up, *tumour, threshold=threshold)
        scores = score_mask(finished_mask(probabilities, case, own).mask, case, "a", own)
        assert curve.false_positives[place] == scores.false_positives
        assert curve.found["all"][place] == sum(lesion.detected for lesion in scores.lesions)
        assert curve.lesions["all"] == len(scores.lesions)
    assert len(set(curve.false_positives)) > 2


def test_a_margin_reaches_beyond_the_box_of_what_is_marked() -> None:
    """A mark of one voxel by the brain's border, 2 mm inside, is taken away by a margin of 2.5 mm."""
    brain, probabilities = np.zeros(SHAPE, np.uint8), np.zeros((3, *SHAPE), np.float32)
    brain[3:18] = 1
    probabilities[2, 4, 8, 8] = probabilities[2, 10, 8, 8] = 0.995
    case = case_of("c", np.zeros((1, *SHAPE), np.float32), np.zeros(SHAPE, np.uint8), brain)
    near, alone = probabilities.copy(), {"outside_brain": "lesions", "brain_margin_mm": 2.5}
    near[2, 10, 8, 8] = 0.0
    assert set(curve_of_exam(near, case, "a", plan(alone)).false_positives) == {0}
    assert set(curve_of_exam(probabilities, case, "a", plan(alone)).false_positives) == {1}


def test_the_probability_marks_what_the_mask_marks() -> None:
    _, probabilities = drawn_case(5)
    own = plan({}, "netc", "et")
    held = tumour_probability(probabilities, own)
    for threshold in THRESHOLDS:
        mask = tumour_of_mask(probability_to_mask(probabilities, threshold), own)
        assert np.array_equal(held >= np.float32(threshold), mask)


def test_classes_beside_background_by_hand() -> None:
    voxels = [(0.4, 0.2, 0.0), (0.2, 0.4, 0.0), (0.0, 0.0, 0.7), (0.0, 0.0, 0.0)]
    probabilities = np.array(voxels, np.float32).T.reshape(3, 4, 1, 1)
    core = tumour_probability(probabilities, plan({}, "netc", "et"))
    assert core.ravel() == pytest.approx([0.5, 0.0, 0.7, 0.0])
    single = np.array([0.25, 0.75], np.float32).reshape(1, 2, 1, 1)
    one = Plan.model_validate({"name": "p", "sequences": ["t1c"], "sites": ["a"]}, strict=False)
    assert tumour_probability(single, one).ravel().tolist() == [0.25, 0.75]


def test_voxels_without_a_number_are_never_marked() -> None:
    case, probabilities = drawn_case(3)
    curve = curve_of_exam(np.full_like(probabilities, np.nan), case, "a", plan({}))
    assert set(curve.false_positives) == {0} == set(curve.found["all"])
    assert curve.voxel_auc == 0.5


def test_the_auc_of_a_map_done_by_hand() -> None:
    label = np.zeros((2, 2, 1), np.uint8)
    label[0, :, 0] = 1
    case = case_of("c", np.zeros((1, 2, 2, 1), np.float32), label)
    one = Plan.model_validate({"name": "p", "sequences": ["t1c"], "sites": ["a"]}, strict=False)
    probabilities = np.array([0.4, 0.8, 0.1, 0.4], np.float32).reshape(1, 2, 2, 1)
    assert curve_of_exam(probabilities, case, "a", one).voxel_auc == 0.875
