"""Plans that nnU-Net's own planners (version 2.8.1) gave for these fingerprints, 4 sequences and 4 classes."""

import math

import pytest

from common.planning.fingerprint import Fingerprint
from common.planning.planners import PlannerName
from tests.common.planning.cohorts import BRATS, LARGE, SLICES, SMALL, UCSF_BMSR, cohort, counted, planned, zyx

PRESETS: tuple[PlannerName, ...] = ("unet_resenc_m", "unet_resenc_l", "unet_resenc_xl")
PRESET_GB = (8.0, 24.0, 40.0)


@pytest.mark.parametrize(
    ("fingerprint", "planner", "memory_gb", "patch", "batch", "halvings"),
    [
        (UCSF_BMSR, "unet", 8.0, (80, 192, 160), 2, (4, 5, 5)),
        (UCSF_BMSR, "unet_resenc", 8.0, (80, 192, 160), 2, (4, 5, 5)),
        (UCSF_BMSR, "unet_resenc_l", 24.0, (112, 256, 224), 2, (4, 5, 5)),
        (UCSF_BMSR, "unet_resenc_xl", 40.0, (112, 256, 224), 4, (4, 5, 5)),
        (BRATS, "unet", 8.0, (128, 160, 112), 2, (5, 5, 4)),
        (BRATS, "unet_resenc_l", 24.0, (160, 192, 160), 3, (5, 5, 5)),
        (BRATS, "unet_resenc_xl", 40.0, (160, 192, 160), 5, (5, 5, 5)),
        (SLICES, "unet", 8.0, (20, 320, 256), 2, (2, 6, 6)),
        (SLICES, "unet_resenc_m", 8.0, (20, 256, 256), 2, (2, 6, 6)),
        (SLICES, "unet_resenc_xl", 40.0, (20, 320, 320), 8, (2, 6, 6)),
        (LARGE, "unet_resenc_l", 24.0, (192, 192, 192), 2, (5, 5, 5)),
        (LARGE, "unet_resenc_xl", 40.0, (224, 256, 224), 2, (5, 5, 5)),
    ],
)
def test_patch_batch_and_depth(
    fingerprint: Fingerprint,
    planner: PlannerName,
    memory_gb: float,
    patch: tuple[int, ...],
    batch: int,
    halvings: tuple[int, ...],
) -> None:
    plan = planned(fingerprint, memory_gb, planner)
    assert zyx(plan) == patch
    assert plan.batch.size == batch
    assert tuple(round(math.log2(step)) for step in plan.topology.divisor) == halvings


def test_presets_let_a_batch_cover_the_whole_dataset() -> None:
    few = cohort((1.0, 1.0, 1.0), (36, 50, 35), 20)
    assert [planned(SMALL, gb, name).batch.size for name, gb in zip(PRESETS, PRESET_GB, strict=True)] == [
        57,
        177,
        183,
    ]
    assert [planned(few, gb, name).batch.size for name, gb in zip(PRESETS, PRESET_GB, strict=True)] == [14, 14, 14]
    assert planned(SMALL, 8.0, "unet_resenc").batch.size == 9
    assert planned(few, 8.0, "unet_resenc").batch.size == 2


@pytest.mark.parametrize(
    ("planner", "memory_gb", "spacing_mm"),
    [
        ("unet", 8.0, (2.500080345, 1.919061673, 1.919061673)),
        ("unet_resenc_l", 24.0, (1.652847632, 1.268725843, 1.268725843)),
        ("unet_resenc_xl", 40.0, (1.384233871, 1.062537919, 1.062537919)),
    ],
)
def test_coarser_images(planner: PlannerName, memory_gb: float, spacing_mm: tuple[float, ...]) -> None:
    coarse = planned(LARGE, memory_gb, planner).low_resolution
    assert coarse.wanted
    assert coarse.spacing_mm == pytest.approx(spacing_mm, abs=1e-9)


def test_each_case_is_resampled_and_rounded_before_the_median() -> None:
    # the middle case is 107 x 0.9 = 96.3 mm long: 96 voxels of 1 mm, which halve to 6; 96.5 would be padded to 112
    whole = [((1.0, 1.0, 1.0), (100, 120, length)) for length in (90, 92, 100, 104)]
    plan = planned(counted([((1.0, 1.0, 0.9), (100, 120, 107)), *whole]))
    assert plan.median_shape == (100.0, 120.0, 96.0)
    assert zyx(plan) == (112, 128, 96)


def test_axes_are_ordered_by_the_target_spacing_and_not_by_the_median() -> None:
    # x is 5 mm in most cases and is made 1 mm: no axis is the coarsest then, and x, the last, gives way first
    thick, fine = ((1.0, 1.0, 5.0), (170, 170, 34)), ((1.0, 1.0, 1.0), (170, 170, 170))
    plan = planned(counted([thick] * 8 + [fine] * 2), memory_gb=6.0)
    assert plan.spacing_mm == (1.0, 1.0, 1.0)
    assert plan.order.names == ("z", "y", "x")
    assert zyx(plan) == (128, 128, 112)


def test_tenth_percentile_of_a_coarse_axis() -> None:
    thick, thin = ((10.0, 1.5625, 1.5625), (9, 256, 216)), ((5.0, 1.4, 1.4), (9, 256, 216))
    plan = planned(counted([thick] * 160 + [thin] * 40))
    assert plan.spacing_mm == (5.0, 1.5625, 1.5625)
    assert plan.median_shape == (18.0, 256.0, 216.0)
    assert (zyx(plan), plan.batch.size) == ((20, 256, 224), 4)
