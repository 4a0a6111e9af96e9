import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.metrics import HausdorffDistanceMetric, SurfaceDistanceMetric, compute_surface_dice
from monai.metrics.utils import create_table_neighbour_code_to_surface_area

from common.metrics.surface import (
    average_symmetric_distance_mm,
    hd95_directed_mm,
    hd95_pooled_mm,
    normalised_surface_dice,
    surface_dice,
)
from common.metrics.surfels import surfel_areas_mm2, surfels_of
from simulation.bench.plain_metrics import Bits, plain_hd95_directed, plain_hd95_pooled, plain_surface_dice
from tests.common.metrics.masks import blob_pair, boxes

ISOTROPIC, UNEVEN = (1.0, 1.0, 1.0), (0.5, 0.86, 2.25)


def as_tensor(mask: Bits) -> torch.Tensor:
    return torch.tensor(mask)[None, None]


@pytest.mark.parametrize("spacing_mm", [ISOTROPIC, UNEVEN])
def test_areas_of_all_cells_agree_with_monai(spacing_mm: tuple[float, float, float]) -> None:
    bits, expected = surfel_areas_mm2(spacing_mm), create_table_neighbour_code_to_surface_area(spacing_mm)[0]
    assert bits == pytest.approx(np.asarray(expected), rel=1e-6)


def test_surface_of_one_voxel_and_of_a_slab() -> None:
    assert surfels_of(boxes((3, 3, 3), (1, 1, 1, 1)), ISOTROPIC).areas_mm2.sum() == pytest.approx(math.sqrt(3))
    slab = np.ones((4, 40, 40), bool)
    assert surfels_of(slab, ISOTROPIC).areas_mm2.sum() == pytest.approx(2 * 1600 + 4 * 4 * 40, rel=0.03)


@pytest.mark.parametrize("spacing_mm", [ISOTROPIC, UNEVEN])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_whole_volume_distance_transforms(seed: int, spacing_mm: tuple[float, float, float]) -> None:
    pair = blob_pair(seed)
    assert hd95_directed_mm(*pair, spacing_mm) == pytest.approx(plain_hd95_directed(*pair, spacing_mm), abs=1e-9)
    assert hd95_pooled_mm(*pair, spacing_mm) == pytest.approx(plain_hd95_pooled(*pair, spacing_mm), abs=1e-9)
    for tolerance_mm in (0.5, 1.0, 2.25):
        expected = plain_surface_dice(*pair, spacing_mm, tolerance_mm)
        assert surface_dice(*pair, spacing_mm, tolerance_mm) == pytest.approx(expected, abs=1e-6)


def test_agrees_with_monai() -> None:
    pair = blob_pair(7)
    tensors = [as_tensor(mask) for mask in pair]
    dice = compute_surface_dice(*tensors, [1.0], True, spacing=UNEVEN, use_subvoxels=True)
    assert surface_dice(*pair, UNEVEN, 1.0) == pytest.approx(float(dice), abs=1e-6)
    both_ways = SurfaceDistanceMetric(include_background=True, symmetric=False, reduction="none")
    means = [float(both_ways(*order, spacing=UNEVEN)) for order in (tensors, tensors[::-1])]
    assert average_symmetric_distance_mm(*pair, UNEVEN) == pytest.approx(sum(means) / 2, abs=1e-5)
    whole = HausdorffDistanceMetric(include_background=True, reduction="none")(*tensors, spacing=UNEVEN)
    assert hd95_pooled_mm(*pair, UNEVEN) < float(whole)


def test_the_two_hd95_are_not_the_same() -> None:
    reference, prediction = (boxes((40, 40, 40), (5, 5, 5, edge)) for edge in (8, 2))
    directed, pooled = (f(prediction, reference, ISOTROPIC) for f in (hd95_directed_mm, hd95_pooled_mm))
    assert directed == pytest.approx(plain_hd95_directed(prediction, reference, ISOTROPIC))
    assert directed == pytest.approx(math.sqrt(73))
    assert pooled == pytest.approx(plain_hd95_pooled(prediction, reference, ISOTROPIC))
    assert abs(directed - pooled) > 0.2


def test_a_known_shift_in_millimetres() -> None:
    reference, prediction = boxes((30, 9, 9), (3, 3, 3, 3)), boxes((30, 9, 9), (13, 3, 3, 3))
    assert hd95_directed_mm(prediction, reference, (0.5, 1.0, 1.0)) == pytest.approx(5.0)
    assert hd95_pooled_mm(prediction, reference, (0.5, 1.0, 1.0)) == pytest.approx(5.0)
    assert surface_dice(prediction, reference, (0.5, 1.0, 1.0), 5.0) == 1.0
    assert normalised_surface_dice(prediction, reference, (0.5, 1.0, 1.0)) == 0.0


@pytest.mark.parametrize(
    ("distance", "score"),
    [
        (hd95_directed_mm, lambda p, r, s: surface_dice(p, r, s, 1.0)),
        (hd95_pooled_mm, normalised_surface_dice),
        (average_symmetric_distance_mm, normalised_surface_dice),
    ],
)
def test_empty_masks(distance: Callable[..., float], score: Callable[..., float]) -> None:
    empty, one = boxes((6, 6, 6)), boxes((6, 6, 6), (2, 2, 2, 2))
    assert (distance(empty, empty, ISOTROPIC), score(empty, empty, ISOTROPIC)) == (0.0, 1.0)
    assert (distance(one, empty, ISOTROPIC), score(one, empty, ISOTROPIC)) == (math.inf, 0.0)
    assert (distance(empty, one, ISOTROPIC), score(empty, one, ISOTROPIC)) == (math.inf, 0.0)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3, 3\), reference \(3, 3, 4\)"):
        hd95_directed_mm(np.ones((3, 3, 3)), np.ones((3, 3, 4)), ISOTROPIC)
    with pytest.raises(ValueError, match="tolerance_mm must be 0 or more, got -1"):
        surface_dice(np.ones((3, 3, 3)), np.ones((3, 3, 3)), ISOTROPIC, -1.0)
