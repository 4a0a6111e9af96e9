"""Whole plans: the published one of UCSF-BMSR, and others that follow from the rules."""

import pytest

from common.errors import ConfigError
from common.planning.network_plan import Request, plan_network
from tests.common.planning.cohorts import (
    BRATS,
    FOUR_SEQUENCES,
    LARGE,
    SLICES,
    SMALL,
    UCSF_BMSR,
    cohort,
    planned,
    zyx,
)


def test_published_fingerprint_of_ucsf_bmsr_gives_the_published_plan() -> None:
    plan = plan_network(UCSF_BMSR, FOUR_SEQUENCES)
    assert plan.order.names == ("z", "y", "x")
    assert plan.spacing_mm == (1.5, 0.8594, 0.8594)
    assert plan.median_shape == (100.5, 227.0, 215.0)
    assert plan.topology.patch_size == (80, 192, 160)
    assert plan.batch.size == 2
    assert plan.topology.channels == (32, 64, 128, 256, 320, 320)
    assert plan.topology.kernel_sizes == ((3, 3, 3),) * 6
    assert plan.topology.strides == ((1, 1, 1), *((2, 2, 2),) * 4, (1, 2, 2))
    assert plan.normalisation.schemes == dict.fromkeys(FOUR_SEQUENCES.sequences, "zscore")
    assert plan.normalisation.inside_mask
    assert not plan.low_resolution.wanted
    assert round(plan.size.parameters / 1e6, 1) == 30.8
    assert round(plan.size.multiply_adds / 1e9) == 566


def test_isotropic_heads_keep_all_of_one_axis_step_more_than_another() -> None:
    # 128 x 160 x 128 would keep 569 million values, 2 % over the budget: the last axis, longest relative to the
    # median case, gives way, in steps of 16 since 112 voxels halve four times
    plan = planned(BRATS)
    assert zyx(plan) == (128, 160, 112)
    assert plan.batch.size == 2
    assert plan.topology.strides[-1] == (2, 2, 1)
    assert plan.order.to_xyz(plan.topology.strides[-1]) == (1, 2, 2)
    assert [step.patch_size for step in plan.fitted.steps] == [
        (160, 192, 128),
        (128, 192, 128),
        (128, 160, 128),
        (128, 160, 112),
    ]


def test_heads_of_even_proportions_get_128_cubed() -> None:
    # a few voxels more along x, and y is the longest of 128 x 160 x 128 relative to the median case
    plan = planned(cohort((1.0, 1.0, 1.0), (138, 169, 138), 484))
    assert (zyx(plan), plan.batch.size) == ((128, 128, 128), 2)
    assert plan.topology.strides[1:] == ((2, 2, 2),) * 5


def test_last_of_equally_long_axes_gives_way_first() -> None:
    steps = planned(cohort((1.0, 1.0, 1.0), (200, 200, 200), 100)).fitted.steps
    assert [step.axis for step in steps[:3]] == [2, 1, 0]


def test_thick_slices_are_halved_in_plane_first_with_flat_kernels() -> None:
    # 3.6 mm is 5.8 times 0.62: z joins once the other axes are within a factor of two, two halvings later
    plan = planned(SLICES)
    assert zyx(plan) == (20, 320, 256)
    assert plan.topology.strides == (
        (1, 1, 1),
        (1, 2, 2),
        (1, 2, 2),
        (2, 2, 2),
        (2, 2, 2),
        (1, 2, 2),
        (1, 2, 2),
    )
    assert plan.topology.kernel_sizes == ((1, 3, 3), (1, 3, 3), *((3, 3, 3),) * 5)
    assert plan.topology.channels == (32, 64, 128, 256, 320, 320, 320)


def test_coarse_and_short_axis_is_made_as_fine_as_a_tenth_of_the_cases() -> None:
    plan = planned(cohort((10.0, 1.5625, 1.5625), (9, 256, 216), 200, p10_zyx_mm=(5.0, 1.4, 1.4)))
    assert plan.spacing_mm == (5.0, 1.5625, 1.5625)
    assert plan.median_shape == (18.0, 256.0, 216.0)
    assert zyx(plan) == (20, 256, 224)
    assert plan.batch.size == 4


def test_small_volumes_get_a_shallow_network_and_a_batch_that_their_number_limits() -> None:
    plan = planned(SMALL)
    assert zyx(plan) == (40, 56, 40)
    assert plan.topology.channels == (32, 64, 128, 256)
    assert (plan.batch.size, plan.batch.by_dataset) == (9, 9)
    assert plan.batch.by_memory > 50
    few = planned(cohort((1.0, 1.0, 1.0), (36, 50, 35), 20))
    assert (few.batch.size, few.batch.by_dataset) == (2, 1)


@pytest.mark.parametrize(
    ("memory_gb", "patch", "batch"),
    [(4.0, (96, 128, 96), 2), (16.0, (160, 192, 160), 2), (24.0, (160, 192, 160), 3), (80.0, (160, 192, 160), 11)],
)
def test_memory_sets_the_patch_and_then_the_batch(memory_gb: float, patch: tuple[int, ...], batch: int) -> None:
    plan = planned(BRATS, memory_gb)
    assert zyx(plan) == patch
    assert plan.batch.size == batch


def test_cases_that_a_patch_hardly_covers_ask_for_coarser_images() -> None:
    plan = planned(LARGE)
    assert zyx(plan) == (128, 128, 128)
    coarse = plan.low_resolution
    assert round(coarse.patch_share, 4) == 0.0166
    assert coarse.wanted
    assert coarse.patch_size is not None and coarse.spacing_mm is not None
    voxels = 1.0
    for length, fine, edge in zip(plan.median_shape, plan.spacing_mm, coarse.spacing_mm, strict=True):
        voxels *= length * fine / edge
    assert 0.25 <= 128**3 / voxels < 0.25 * 1.03**3


def test_coarser_images_of_nearly_as_many_voxels_are_dropped() -> None:
    plan = planned(cohort((1.0, 1.0, 1.0), (210, 210, 200), 100))
    assert zyx(plan) == (128, 128, 128)
    assert round(plan.low_resolution.patch_share, 3) == 0.238
    assert plan.low_resolution.dropped
    assert not plan.low_resolution.wanted


def test_sagittal_slices_are_planned_along_x_first_and_come_back_as_x() -> None:
    sagittal = cohort((0.62, 0.62, 3.6), (319, 320, 20), 32)
    plan = planned(sagittal)
    assert plan.order.names == ("x", "z", "y")
    assert plan.order.to_xyz(plan.topology.patch_size) == (20, 320, 256)
    assert plan.order.to_xyz(plan.topology.kernel_sizes[0]) == (1, 3, 3)


def test_residual_encoder_gets_the_same_patch_at_its_own_reference() -> None:
    plan = plan_network(UCSF_BMSR, Request(FOUR_SEQUENCES.sequences, FOUR_SEQUENCES.labels, 8.0, "unet_resenc"))
    assert zyx(plan) == (80, 192, 160)
    assert plan.batch.size == 2
    assert round(plan.size.parameters / 1e6) == 102


def test_hardly_cropped_images_are_normalised_as_a_whole() -> None:
    assert not planned(cohort((1.0, 1.0, 1.0), (140, 171, 136), 100, cropped_share=0.75)).normalisation.inside_mask


def test_memory_for_no_patch_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="--memory-gb"):
        planned(BRATS, 1e-6)
