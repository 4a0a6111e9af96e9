from dataclasses import replace

import numpy as np
import pytest

from client.data.case import PreparedCase
from client.data.lesion_sampling import number_lesions, table_of_lesions
from client.data.sampling import PatchSampler, draw_places
from common.plan import AugmentationSpec, TrainingSpec
from tests.client.prepared import case_of

STILL = AugmentationSpec(flip=0.0, rotate=0.0, scale=0.0, gamma=0.0, noise=0.0, brightness=0.0)
SPEC = TrainingSpec(
    patch_size=(8, 8, 8), batch_size=1, foreground_share=1.0, augmentation=STILL, sampling="small_lesions"
)


def cubes(exam: str, *edges: int) -> PreparedCase:
    """A case with cubic lesions of these edges, in voxels of 1 mm3, the first at voxel 4, one every 20 voxels."""
    label = np.zeros((20 * len(edges) + 4, 24, 24), np.uint8)
    for place, edge in enumerate(edges):
        start = 4 + 20 * place
        label[start : start + edge, 4 : 4 + edge, 4 : 4 + edge] = 1
    return case_of(exam, np.zeros((1, *label.shape), np.float32), label)


def spec(exponent: float, floor_mm3: float) -> TrainingSpec:
    return SPEC.model_copy(update={"small_lesion_exponent": exponent, "small_lesion_floor_mm3": floor_mm3})


def test_probabilities_follow_the_formula() -> None:
    """Lesions of 1, 64 and 1000 mm3; below the floor of 4 mm3 nothing grows: 1/2, 1/8, 1/sqrt(1000)."""
    table = table_of_lesions([cubes("a", 1, 10), cubes("b", 4)], spec(0.5, 4.0))
    assert table is not None
    assert table.volume_mm3.tolist() == [1.0, 1000.0, 64.0]
    weight = np.array([1 / 2, 1 / np.sqrt(1000), 1 / 8])
    np.testing.assert_allclose(table.probability, weight / weight.sum())


def test_a_steep_power_draws_the_smallest_and_not_nothing() -> None:
    table = table_of_lesions([cubes("a", 4, 10)], spec(400.0, 14.0))
    assert table is not None
    assert table.probability.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("exponent", "expected"), [(0.0, (1 / 3, 1 / 3, 1 / 3)), (1.0, (0.927, 0.0579, 0.0148))])
def test_lesions_are_drawn_as_often_as_they_should(exponent: float, expected: tuple[float, ...]) -> None:
    """Which lesion and which case: patches of 8 voxels are centred on it."""
    cases = [cubes("a", 1, 4), cubes("b", 10)]
    sampler_spec = spec(exponent, 4.0)
    table = table_of_lesions(cases, sampler_spec)
    rng = np.random.default_rng(0)
    drawn = [draw_places(cases, sampler_spec, rng, table)[0] for _ in range(3000)]
    shares = [
        np.mean([place.case.exam == "a" and place.start[0] < 10 for place in drawn]),
        np.mean([place.case.exam == "a" and place.start[0] >= 10 for place in drawn]),
        np.mean([place.case.exam == "b" for place in drawn]),
    ]
    if exponent == 1.0:
        weight = np.array([1 / 4, 1 / 64, 1 / 1000])
        np.testing.assert_allclose(weight / weight.sum(), expected, atol=0.012)
    np.testing.assert_allclose(shares, expected, atol=0.03)


def test_every_voxel_of_a_lesion_may_be_the_centre() -> None:
    table = table_of_lesions([cubes("a", 2)], SPEC)
    assert table is not None
    rng = np.random.default_rng(0)
    assert len({tuple(table.draw(rng)[1]) for _ in range(200)}) == 8


def test_free_patches_lie_anywhere_in_any_case() -> None:
    cases = [cubes("a", 2), cubes("b")]
    free = SPEC.model_copy(update={"foreground_share": 0.0, "batch_size": 40})
    places = draw_places(cases, free, np.random.default_rng(0), table_of_lesions(cases, free))
    assert {place.case.exam for place in places} == {"a", "b"}


def test_a_site_without_lesions_cuts_anywhere() -> None:
    empty = cubes("a")
    assert table_of_lesions([empty], SPEC) is None
    assert not PatchSampler([empty], SPEC, np.random.default_rng(0)).next().label.any()


def test_the_same_seed_draws_the_same_and_stored_numbers_change_nothing() -> None:
    def labels(cases: list[PreparedCase]) -> list[object]:
        sampler = PatchSampler(cases, SPEC, np.random.default_rng(3))
        return [sampler.next().label.numpy().tobytes() for _ in range(10)]

    counted = [cubes("a", 1, 3, 6), cubes("b", 2)]
    stored = []
    for case in counted:
        assert case.label is not None
        stored.append(replace(case, lesion_numbers=number_lesions(case.label, case.lesion_voxels)))
    assert labels(counted) == labels(counted) == labels(stored)


def in_oedema(exam: str) -> PreparedCase:
    """A voxel of core beside one of rim, 1000 voxels of oedema about them and 2 more apart."""
    label = np.zeros((24, 24, 24), np.uint8)
    label[2:12, 2:12, 2:12] = 2
    label[6, 6, 6:8] = 1, 3
    label[20, 20, 20:22] = 2
    return case_of(exam, np.zeros((1, *label.shape), np.float32), label)


def test_lesions_are_components_of_what_counts_as_tumour() -> None:
    label = np.zeros((6, 6, 6), np.uint8)
    label[1, 1, 1], label[2, 2, 2] = 1, 3  # by a corner
    label[2, 2, 3] = 2
    label[5, 5, 5] = 1
    voxels = np.argwhere(label).astype(np.int32)
    numbers = number_lesions(label, voxels, {1, 3})
    assert numbers.dtype == np.int32 and numbers.tolist() == [1, 1, 0, 2]
    assert number_lesions(label, voxels).tolist() == [1, 1, 1, 2]
    assert number_lesions(label, voxels[:0]).shape == (0,)


def test_oedema_is_not_drawn_and_makes_no_metastasis_larger() -> None:
    case = in_oedema("a")
    table = table_of_lesions([case], SPEC, {1, 3})
    assert table is not None and table.volume_mm3.tolist() == [2.0]
    rng = np.random.default_rng(0)
    assert {tuple(table.draw(rng)[1].tolist()) for _ in range(50)} == {(6, 6, 6), (6, 6, 7)}
    assert case.label is not None
    alone = replace(case, label=np.where(case.label == 2, case.label, 0).astype(np.uint8))
    assert table_of_lesions([alone], SPEC, {1, 3}) is None


def test_a_merged_index_is_tumour_when_all_its_classes_are() -> None:
    """Of a site that drew core and rim as one, index 4, and mapped nothing to 1 and 3."""
    case = in_oedema("a")
    assert case.label is not None
    label = np.where(case.label == 2, 2, 4 * (case.label > 0)).astype(np.uint8)
    coarse = replace(case, label=label, meanings=((0,), (1,), (2,), (3,), (1, 3)))
    table = table_of_lesions([coarse], SPEC, {1, 3})
    assert table is not None and table.volume_mm3.tolist() == [2.0]
