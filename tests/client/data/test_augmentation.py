import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from client.data.augmentation import Change, apply_change, draw_change, voxel_matrix
from common.plan import AugmentationSpec

ALWAYS = AugmentationSpec(flip=1.0, rotate=1.0, scale=1.0, gamma=1.0, noise=1.0, brightness=1.0)
NEVER = AugmentationSpec(flip=0.0, rotate=0.0, scale=0.0, gamma=0.0, noise=0.0, brightness=0.0)


def _patch(shape: tuple[int, int, int] = (10, 12, 14)) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise inside a box, 0 around it; the label is a corner of the box."""
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(2, *shape)
    image[:, 2:-2, 2:-2, 2:-2] = torch.randn(2, *(edge - 4 for edge in shape), generator=generator)
    label = torch.zeros(shape, dtype=torch.int64)
    label[2:5, 2:5, 2:5] = 1
    return image, label


def augment(
    image: torch.Tensor, label: torch.Tensor, spec: AugmentationSpec, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    return apply_change(image, label, draw_change(spec, image.shape[0], rng))


def test_nothing_drawn_changes_nothing() -> None:
    image, label = _patch()
    same, same_label = augment(image, label, NEVER, np.random.default_rng(0))
    assert torch.equal(same, image) and torch.equal(same_label, label)


def test_the_same_generator_gives_the_same_bits_and_another_gives_others() -> None:
    image, label = _patch()
    first, again, other = (augment(image, label, ALWAYS, np.random.default_rng(s))[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_inputs_are_kept() -> None:
    image, label = _patch()
    kept = image.clone()
    augment(image, label, ALWAYS, np.random.default_rng(0))
    assert torch.equal(image, kept)


@pytest.mark.parametrize("seed", range(5))
def test_outside_of_the_brain_stays_exactly_zero(seed: int) -> None:
    image, label = _patch()
    spec = ALWAYS.model_copy(update={"rotate": 0.0, "scale": 0.0, "flip": 0.0})
    changed, _ = augment(image, label, spec, np.random.default_rng(seed))
    assert torch.equal(changed != 0, image != 0)
    noisy, _ = apply_change(image, label, Change(noise_sd=1.0, noise_seed=seed))
    assert torch.equal(noisy != 0, image != 0)
    warped, _ = augment(image, label, ALWAYS, np.random.default_rng(seed))
    assert 0.2 < (warped == 0).float().mean().item() < 0.9


def test_a_patch_without_brain_stays_zero_and_finite() -> None:
    image, label = torch.zeros(2, 8, 8, 8), torch.zeros(8, 8, 8, dtype=torch.int64)
    changed, _ = augment(image, label, ALWAYS, np.random.default_rng(0))
    assert torch.equal(changed, image)


def test_flips_move_image_and_label_alike() -> None:
    image, label = _patch()
    flipped, flipped_label = apply_change(image, label, Change(flips=(0, 2)))
    assert torch.equal(flipped, image.flip([1, 3]))
    assert torch.equal(flipped_label, label.flip([0, 2]))


def test_a_quarter_turn_is_exact() -> None:
    image, label = _patch((12, 12, 12))
    matrix = voxel_matrix(np.array([0.0, 0.0, np.pi / 2]), 1.0, (1.0, 1.0, 1.0))
    turned, turned_label = apply_change(image, label, Change(matrix=matrix))
    torch.testing.assert_close(turned, torch.rot90(image, -1, (1, 2)), rtol=1e-4, atol=1e-4)
    assert torch.equal(turned_label, torch.rot90(label, -1, (0, 1)))


def test_resampling_agrees_with_scipy_on_an_oblong_anisotropic_patch() -> None:
    image, label = _patch((12, 16, 20))
    matrix = voxel_matrix(np.deg2rad([10.0, -7.0, 12.0]), 1.1, (1.0, 1.0, 3.0))
    warped, _ = apply_change(image, label, Change(matrix=matrix))
    centre = (np.array(image.shape[1:]) - 1) / 2
    oracle = affine_transform(image[0].numpy(), matrix, centre - matrix @ centre, order=1, mode="grid-constant")
    np.testing.assert_allclose(warped[0].numpy(), oracle, atol=2e-4)


def test_rotation_keeps_millimetres_not_voxels() -> None:
    spacing = np.array([1.0, 1.0, 3.0])
    matrix = voxel_matrix(np.array([0.3, 0.0, 0.0]), 1.0, (1.0, 1.0, 3.0))
    offset = np.array([2.0, -1.0, 4.0])
    assert np.linalg.norm(spacing * (matrix @ offset)) == pytest.approx(np.linalg.norm(spacing * offset))


def test_gamma_keeps_mean_and_spread_in_the_brain() -> None:
    image, label = _patch()
    changed, _ = apply_change(image, label, Change(gamma=(0.7, 1.5)))
    brain = image[0] != 0
    for channel in range(2):
        before, after = image[channel][brain], changed[channel][brain]
        assert after.mean().item() == pytest.approx(before.mean().item(), abs=1e-5)
        assert after.std().item() == pytest.approx(before.std().item(), abs=1e-4)
        assert not torch.allclose(before, after, atol=0.05)


def test_noise_and_brightness_have_the_drawn_size() -> None:
    image, label = torch.ones(2, 20, 20, 20), torch.zeros(20, 20, 20, dtype=torch.int64)
    noisy, _ = apply_change(image, label, Change(noise_sd=0.3, noise_seed=1))
    assert (noisy - image).std().item() == pytest.approx(0.3, rel=0.03)
    bright, _ = apply_change(image, label, Change(brightness=(0.75, 1.25)))
    assert bool((bright[0] == 0.75).all()) and bool((bright[1] == 1.25).all())


def test_draws_come_as_often_as_the_spec_says_and_within_its_bounds() -> None:
    rng = np.random.default_rng(0)
    changes = [draw_change(AugmentationSpec(), 2, rng) for _ in range(2000)]
    assert np.mean([0 in change.flips for change in changes]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([change.matrix is not None for change in changes]) == pytest.approx(0.36, abs=0.04)
    gammas = [value for change in changes for value in change.gamma or ()]
    assert 0.7 <= min(gammas) < 0.75 and 1.4 < max(gammas) <= 1.5
    assert max(change.noise_sd for change in changes) <= np.sqrt(0.1)
