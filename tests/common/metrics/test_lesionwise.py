import numpy as np
import pytest
from scipy import ndimage

from common.metrics.dilation import dilate_18
from common.metrics.lesionwise import BRATS_GLI_2023, BRATS_METS_2023, score_lesionwise
from common.metrics.region import score_region
from simulation.bench.metrics import head_with_lesions, shared_figures
from simulation.bench.plain_metrics import plain_scores
from tests.common.metrics.masks import blob_pair, boxes

ISOTROPIC = (1.0, 1.0, 1.0)
GRID = (40, 20, 20)


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_rule_on_whole_volumes(seed: int) -> None:
    spacing_mm = (1.0, 0.9, 1.5) if seed % 2 else ISOTROPIC
    pair = blob_pair(seed, level=0.16)
    assert shared_figures(score_region(*pair, spacing_mm)) == pytest.approx(
        plain_scores(*pair, spacing_mm), abs=1e-9
    )


def test_a_head_agrees_with_the_rule_on_whole_volumes() -> None:
    pair = head_with_lesions(9, (64, 64, 40), seed=3)
    assert shared_figures(score_region(*pair, ISOTROPIC)) == pytest.approx(
        plain_scores(*pair, ISOTROPIC), abs=1e-9
    )


@pytest.mark.parametrize("steps", [1, 3])
def test_dilation_agrees_with_scipy(steps: int) -> None:
    mask = np.random.default_rng(steps).random((11, 9, 8)) < 0.02
    expected = ndimage.binary_dilation(mask, ndimage.generate_binary_structure(3, 2), iterations=steps)
    assert np.array_equal(dilate_18(mask, steps), expected)


def test_missed_and_invented_lesions_count_as_zero() -> None:
    reference = boxes(GRID, (3, 3, 3, 4), (20, 3, 3, 4))
    prediction = boxes(GRID, (3, 3, 3, 4), (30, 10, 10, 3))
    scores = score_lesionwise(prediction, reference, ISOTROPIC)
    assert (scores.counts.tp, scores.counts.fp, scores.counts.fn) == (1, 1, 1)
    assert (scores.dice, scores.hd95_mm) == pytest.approx((1 / 3, (0 + 374 + 374) / 3))
    assert (scores.counts.sensitivity, scores.counts.precision, scores.counts.f1) == pytest.approx((0.5, 0.5, 0.5))


def test_fragments_two_voxels_apart_are_one_lesion() -> None:
    near, far = (boxes(GRID, (3, 3, 3, 3), (x, 3, 3, 3)) for x in (8, 9))
    assert len(score_lesionwise(near, near, ISOTROPIC).lesions) == 1
    assert len(score_lesionwise(far, far, ISOTROPIC).lesions) == 2
    assert len(score_lesionwise(far, far, ISOTROPIC, BRATS_GLI_2023).lesions) == 1


def test_one_component_may_serve_two_lesions() -> None:
    reference = boxes(GRID, (3, 3, 3, 4), (13, 3, 3, 4))
    prediction = reference.copy()
    prediction[7:13, 3:7, 3:7] = True
    scores = score_lesionwise(prediction, reference, ISOTROPIC)
    assert [lesion.dice for lesion in scores.lesions] == pytest.approx([2 * 64 / (64 + 224)] * 2)
    assert scores.counts.fp == 0


def test_lesions_up_to_two_cubic_millimetres_are_left_out_but_claim_their_prediction() -> None:
    reference = boxes(GRID, (3, 3, 3, 1))
    reference[4, 3, 3] = True
    prediction = boxes(GRID, (3, 3, 3, 3))
    scores = score_lesionwise(prediction, reference, ISOTROPIC, BRATS_METS_2023)
    assert (len(scores.lesions), scores.false_positives, scores.dice, scores.hd95_mm) == (0, 0, 1.0, 0.0)
    assert len(score_lesionwise(prediction, reference, (1.0, 1.0, 1.01)).lesions) == 1


def test_empty_masks() -> None:
    empty, one = boxes(GRID), boxes(GRID, (3, 3, 3, 3))
    both = score_lesionwise(empty, empty, ISOTROPIC)
    assert (both.dice, both.hd95_mm, both.counts.f1) == (1.0, 0.0, None)
    missed, invented = score_lesionwise(empty, one, ISOTROPIC), score_lesionwise(one, empty, ISOTROPIC)
    assert (missed.dice, missed.hd95_mm, missed.counts.fn) == (0.0, 374.0, 1)
    assert (invented.dice, invented.hd95_mm, invented.counts.fp) == (0.0, 374.0, 1)


def test_refuses_other_shapes_and_spacings() -> None:
    with pytest.raises(ValueError, match=r"\(40, 20, 20\), reference \(2, 2, 2\)"):
        score_lesionwise(boxes(GRID), boxes((2, 2, 2)), ISOTROPIC)
    with pytest.raises(ValueError, match="three lengths above 0"):
        score_region(boxes(GRID), boxes(GRID), (1.0, 0.0, 1.0))
