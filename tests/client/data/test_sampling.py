from pathlib import Path

import numpy as np
import pytest
import torch

from client.data.sampling import JoinedSampler, PatchSampler, Place, cut, draw_places, round_seed
from common.errors import DataError
from common.plan import AugmentationSpec, TrainingSpec
from tests.client.prepared import ball_case, case_of

STILL = AugmentationSpec(flip=0.0, rotate=0.0, scale=0.0, gamma=0.0, noise=0.0, brightness=0.0)
SPEC = TrainingSpec(patch_size=(12, 12, 12), augmentation=STILL)


def _forced_share(batch_size: int, share: float) -> list[int]:
    """Which samples always hold foreground, over 40 batches of a big case with one small lesion in a corner."""
    image = np.zeros((1, 60, 60, 60), np.float32)
    label = np.zeros((60, 60, 60), np.uint8)
    label[:2, :2, :2] = 1
    spec = SPEC.model_copy(update={"batch_size": batch_size, "foreground_share": share})
    sampler = PatchSampler([case_of("a", image, label)], spec, np.random.default_rng(0))
    held = np.array([sampler.next().label.flatten(1).any(1).numpy() for _ in range(40)])
    return [int(i) for i in np.flatnonzero(held.all(axis=0))]


@pytest.mark.parametrize(
    ("batch_size", "share", "forced"),
    [(2, 0.33, [1]), (4, 0.5, [2, 3]), (3, 0.33, [2]), (2, 0.0, []), (2, 1.0, [0, 1])],
)
def test_the_last_samples_are_forced_to_hold_foreground(batch_size: int, share: float, forced: list[int]) -> None:
    assert _forced_share(batch_size, share) == forced


def test_forced_patches_choose_a_class_first_so_that_rare_classes_are_seen() -> None:
    label = np.zeros((40, 40, 40), np.uint8)
    label[25:38, 25:38, 25:38] = 1
    label[3, 3, 3] = 2
    spec = SPEC.model_copy(update={"batch_size": 1, "foreground_share": 1.0})
    case = case_of("a", np.zeros((1, 40, 40, 40), np.float32), label)
    rng = np.random.default_rng(0)
    rare = [draw_places([case], spec, rng)[0].start == (0, 0, 0) for _ in range(200)]
    assert 0.4 < np.mean(rare) < 0.6


def test_a_patch_holds_the_cases_own_voxels_read_from_a_memory_map(tmp_path: Path) -> None:
    case = ball_case(0)
    np.save(tmp_path / "image.npy", case.image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    image, label = cut([Place(case_of("a", mapped, case.label), (3, 4, 5))], (12, 12, 12))
    assert case.label is not None
    np.testing.assert_array_equal(image[0], case.image[:, 3:15, 4:16, 5:17])
    np.testing.assert_array_equal(label[0], case.label[3:15, 4:16, 5:17])


def test_a_case_smaller_than_the_patch_is_padded_on_both_sides() -> None:
    case = case_of("a", np.ones((1, 9, 20, 12), np.float32), np.ones((9, 20, 12), np.uint8))
    place = draw_places([case], SPEC, np.random.default_rng(0))[0]
    assert place.start[0] == -1 and place.start[2] == 0
    image, label = cut([place], SPEC.patch_size)
    assert image[0, 0, 0].max() == 0.0 and image[0, 0, 10:].max() == 0.0
    assert image.sum() == label.sum() == 9 * 12 * 12


def test_augmentation_does_not_change_which_patches_are_cut() -> None:
    cases = [ball_case(seed) for seed in range(3)]
    moved = SPEC.model_copy(update={"augmentation": AugmentationSpec()})
    still_sampler = PatchSampler(cases, SPEC, np.random.default_rng(1))
    moved_sampler = PatchSampler(cases, moved, np.random.default_rng(1))
    for _ in range(4):
        assert torch.equal(still_sampler.next().image, moved_sampler.next().image)


def test_joined_batches_weigh_sites_not_samples() -> None:
    samplers = [PatchSampler([ball_case(seed)], SPEC, np.random.default_rng(seed)) for seed in range(2)]
    alone = [PatchSampler([ball_case(seed)], SPEC, np.random.default_rng(seed)).next() for seed in range(2)]
    batch = JoinedSampler(samplers, [30, 10]).next()
    np.testing.assert_allclose(batch.shares, [0.375, 0.375, 0.125, 0.125])
    assert torch.equal(batch.image, torch.cat([one.image for one in alone]))
    assert len(batch.changes) == 4
    with pytest.raises(ValueError, match="one positive share each"):
        JoinedSampler(samplers, [1.0])


def test_round_seed_is_the_same_in_every_process_and_differs_by_seed_site_and_round() -> None:
    states = [
        int(round_seed(seed, site, round_id).generate_state(1)[0])
        for seed, site, round_id in [(1, "north", 1), (2, "north", 1), (1, "south", 1), (1, "north", 2)]
    ]
    assert states[0] == 2568062779
    assert len(set(states)) == 4


def test_cases_that_cannot_train_are_refused() -> None:
    with pytest.raises(DataError, match="no training case"):
        PatchSampler([], SPEC, np.random.default_rng(0))
    unlabelled = case_of("exam-7", np.zeros((1, 12, 12, 12), np.float32), None)
    with pytest.raises(DataError, match="exam-7 has no label"):
        PatchSampler([unlabelled], SPEC, np.random.default_rng(0))
