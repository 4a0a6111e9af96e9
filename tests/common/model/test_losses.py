import pytest
import torch
from monai.losses import DiceCELoss

from common.model.losses import build_loss, level_weights


def _example(classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, classes, 6, 5, 4, generator=generator)
    return logits, torch.randint(classes, (3, 6, 5, 4), generator=generator)


@pytest.mark.parametrize("classes", [2, 4])
def test_mean_over_samples_equals_monais_dice_ce(classes: int) -> None:
    logits, label = _example(classes)
    oracle = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1e-5, smooth_dr=1e-5)
    assert build_loss("dice_ce")(logits, label).mean().item() == pytest.approx(
        oracle(logits, label[:, None]).item(), abs=1e-6
    )


def test_a_samples_loss_does_not_depend_on_its_neighbours() -> None:
    logits, label = _example(2)
    loss = build_loss("dice_ce")
    together = loss(logits, label)
    apart = torch.cat([loss(logits[i : i + 1], label[i : i + 1]) for i in range(3)])
    assert together.shape == (3,)
    torch.testing.assert_close(together, apart, rtol=1e-6, atol=1e-7)


def test_a_perfect_patch_costs_nothing_with_lesion_or_without() -> None:
    label = torch.zeros(2, 4, 4, 4, dtype=torch.int64)
    label[0, 1:3, 1:3, 1:3] = 1
    logits = 100.0 * torch.stack([1.0 - 2.0 * label, 2.0 * label - 1.0], dim=1)
    assert build_loss("dice_ce")(logits, label).abs().max().item() < 1e-5


def test_levels_are_weighted_by_halves() -> None:
    assert level_weights(3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    logits, label = _example(2)
    loss = build_loss("dice_ce")
    levels = torch.stack([logits, -logits], dim=1)
    expected = 2 / 3 * loss(logits, label) + 1 / 3 * loss(-logits, label)
    torch.testing.assert_close(loss(levels, label), expected)
