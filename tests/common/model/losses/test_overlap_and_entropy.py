"""Losses without lesions of their own: MONAI and torch are the oracles."""

import pytest
import torch
from monai.losses import DiceCELoss, DiceFocalLoss, DiceLoss, FocalLoss, TverskyLoss
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, one_hot

from common.model.losses import build_loss
from common.training_spec import TrainingSpec
from tests.common.model.losses.examples import logits_of, noise

DICE = {"include_background": False, "to_onehot_y": True, "softmax": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5}


def mean(spec: TrainingSpec, logits: torch.Tensor, label: torch.Tensor) -> float:
    return build_loss(spec)(logits, label).mean().item()


@pytest.mark.parametrize("classes", [2, 4])
def test_dice_ce_is_monais(classes: int) -> None:
    logits, label = noise(classes)
    oracle = DiceCELoss(**DICE)(logits, label[:, None]).item()
    assert mean(TrainingSpec(), logits, label) == pytest.approx(oracle, abs=1e-6)


def test_dice_bce_of_one_label_is_monais_dice_and_torchs_bce_of_the_difference() -> None:
    logits, label = noise(2)
    entropy = binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], label.float())
    oracle = DiceLoss(**DICE)(logits, label[:, None]) + entropy
    assert mean(TrainingSpec(loss="dice_bce"), logits, label) == pytest.approx(oracle.item(), abs=1e-6)
    assert mean(TrainingSpec(loss="dice_bce"), logits, label) == pytest.approx(
        mean(TrainingSpec(), logits, label), abs=1e-6
    )


def test_dice_bce_of_three_labels_takes_each_against_all_others() -> None:
    logits, label = noise(4)
    drawn = one_hot(label, 4).movedim(-1, 1).float()
    entropy = binary_cross_entropy(torch.softmax(logits, 1)[:, 1:], drawn[:, 1:])
    oracle = DiceLoss(**DICE)(logits, label[:, None]) + entropy
    assert mean(TrainingSpec(loss="dice_bce"), logits, label) == pytest.approx(oracle.item(), abs=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
def test_dice_focal_is_monais(gamma: float) -> None:
    logits, label = noise(4)
    spec = TrainingSpec(loss="dice_focal", focal_gamma=gamma)
    focal = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=gamma, reduction="none")(logits, label[:, None])
    oracle = DiceLoss(**DICE)(logits, label[:, None]) + focal.sum(1).mean()  # one class a voxel is not 0
    assert mean(spec, logits, label) == pytest.approx(oracle.item(), abs=1e-6)
    whole = DiceFocalLoss(**DICE, gamma=gamma, lambda_focal=0.0)(logits, label[:, None])
    assert oracle.item() - whole.item() == pytest.approx(focal.sum(1).mean().item(), abs=1e-6)


def test_a_sure_voxel_counts_a_hundredth_in_the_focal_loss() -> None:
    probability = torch.full((2, 2, 2), 0.9)
    label = torch.ones(1, 2, 2, 2, dtype=torch.int64)
    plain, focal = (
        mean(TrainingSpec(loss="dice_focal", focal_gamma=gamma), logits_of(probability), label)
        for gamma in (0.0, 2.0)
    )
    assert plain - focal == pytest.approx(0.99 * -torch.tensor(0.9).log().item(), abs=1e-5)
    assert plain == pytest.approx(mean(TrainingSpec(), logits_of(probability), label), abs=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.5, 0.5), (1.0, 0.0)])
def test_tversky_is_monais(alpha: float, beta: float) -> None:
    logits, label = noise(4)
    spec = TrainingSpec(loss="tversky", tversky_alpha=alpha, tversky_beta=beta)
    oracle = TverskyLoss(**DICE, alpha=alpha, beta=beta)(logits, label[:, None])
    assert mean(spec, logits, label) == pytest.approx(oracle.item(), abs=1e-6)


def test_tversky_by_hand() -> None:
    """4 voxels found, 4 missed, 2 invented: 1 - 4 / (4 + 0.3 * 2 + 0.7 * 4)."""
    label, found = torch.zeros(1, 4, 4, 4, dtype=torch.int64), torch.zeros(4, 4, 4)
    label.view(-1)[:8] = 1
    found.view(-1)[4:10] = 1.0
    assert mean(TrainingSpec(loss="tversky"), logits_of(found), label) == pytest.approx(1 - 4 / 7.4, abs=1e-5)
