import math
from itertools import permutations

import numpy as np
import pytest

from common.metrics.detection import label_lesions
from common.metrics.instances import Overlaps, count_overlaps, match_by_iou, match_one_to_one
from common.metrics.panoptic import panoptic_quality
from common.metrics.panoptica_rule import score_panoptica
from common.metrics.surface import hd95_pooled_mm, normalised_surface_dice
from tests.common.metrics.masks import blob_pair, boxes

ISOTROPIC = (1.0, 1.0, 1.0)
GRID = (40, 20, 20)


def best_sum_of_dice(overlaps: Overlaps) -> float:
    """Every way to pair, tried in turn."""
    ours, theirs = list(overlaps.reference_voxels), list(overlaps.predicted_voxels)
    short, long = sorted((ours, theirs), key=len)
    swap = short is not ours
    return max(
        sum(overlaps.dice((b, a) if swap else (a, b)) for a, b in zip(short, order, strict=False))
        for order in permutations(long, len(short))
    )


def test_pairing_has_the_largest_sum_of_dice() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        predicted, reference = rng.integers(0, 5, (2, 6, 6, 6)), rng.integers(0, 6, (6, 6, 6))
        overlaps = count_overlaps(predicted[0], reference)
        pairs = match_one_to_one(overlaps)
        assert sum(overlaps.dice(pair) for pair in pairs) == pytest.approx(best_sum_of_dice(overlaps))
        assert len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs}) == len(pairs)


def test_overlaps_are_counted_voxel_by_voxel() -> None:
    predicted, reference = (label_lesions(mask)[0] for mask in blob_pair(2))
    overlaps = count_overlaps(predicted, reference)
    pair = match_by_iou(overlaps, 0.3)[0]
    ours, theirs = reference == pair[0], predicted == pair[1]
    assert overlaps.iou(pair) == pytest.approx((ours & theirs).sum() / (ours | theirs).sum())
    assert overlaps.dice(pair) == pytest.approx(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))


def test_large_lesions_are_drawn_and_small_ones_found() -> None:
    reference = boxes(GRID, (2, 2, 2, 4), (12, 2, 2, 3), (20, 2, 2, 2), (26, 2, 2, 2), (32, 2, 2, 2))
    prediction = boxes(GRID, (3, 2, 2, 4), (20, 2, 2, 2), (31, 1, 1, 4), (2, 12, 12, 3))
    prediction[27, 3, 3] = True
    scores = score_panoptica(prediction, reference, ISOTROPIC)
    counts, small = scores.counts, scores.small_counts
    assert (counts.tp, counts.fp, counts.fn) == (4, 1, 1)
    large = [boxes(GRID, (x, 2, 2, 4)) for x in (3, 2)]
    assert scores.large_dice == pytest.approx(0.75)  # the missed lesion of 27 mm3 lowers no mean
    assert scores.large_hd95_mm == pytest.approx(hd95_pooled_mm(large[0], large[1], ISOTROPIC))
    assert scores.large_nsd == pytest.approx(normalised_surface_dice(large[0], large[1], ISOTROPIC))
    assert small is not None and (small.tp, small.fp, small.fn) == (3, 1, 0)
    assert scores.small_f1 == pytest.approx(6 / 7)


def test_a_small_lesion_must_reach_a_dice_of_a_fifth() -> None:
    reference = boxes(GRID, (2, 2, 2, 2))
    prediction = boxes(GRID, (3, 3, 3, 5))
    scores = score_panoptica(prediction, reference, ISOTROPIC)
    assert scores.lesions[0].dice == pytest.approx(2 / 133)
    assert (scores.counts.tp, scores.small_f1) == (1, 0.0)


def test_one_blob_over_two_lesions_finds_one() -> None:
    reference = boxes(GRID, (3, 3, 3, 4), (13, 3, 3, 3))
    prediction = boxes(GRID, (3, 3, 3, 4), (13, 3, 3, 3))
    prediction[3:16, 4, 4] = True
    counts = score_panoptica(prediction, reference, ISOTROPIC).counts
    assert (counts.tp, counts.fp, counts.fn) == (1, 0, 1)


def test_empty_masks_and_missed_lesions() -> None:
    empty, one = boxes(GRID), boxes(GRID, (3, 3, 3, 4))
    nothing = score_panoptica(empty, empty, ISOTROPIC)
    assert (nothing.large_dice, nothing.large_hd95_mm, nothing.large_nsd, nothing.small_f1) == (None,) * 4
    missed = score_panoptica(empty, one, ISOTROPIC)
    assert (missed.large_dice, missed.large_hd95_mm, missed.large_nsd) == (0.0, 373.0, 0.0)
    assert (missed.counts.fn, missed.lesions[0].hd95_mm) == (1, math.inf)
    assert score_panoptica(one, empty, ISOTROPIC).counts.fp == 1


def test_panoptic_quality_of_known_cubes_and_empty_masks() -> None:
    reference = boxes(GRID, (3, 3, 3, 4), (13, 3, 3, 4))
    quality = panoptic_quality(boxes(GRID, (4, 3, 3, 4), (30, 3, 3, 4)), reference, ISOTROPIC)
    assert (quality.recognition, quality.segmentation, quality.quality) == pytest.approx((0.5, 0.6, 0.3))
    empty = boxes(GRID)
    assert panoptic_quality(empty, empty, ISOTROPIC).quality is None
    assert panoptic_quality(empty, reference, ISOTROPIC).quality == 0.0
    assert panoptic_quality(reference, empty, ISOTROPIC).quality == 0.0
