"""Blob loss and size-weighted Dice, by hand and against MONAI lesion by lesion."""

import pytest
import torch
from monai.losses import DiceLoss

from common.model.losses import build_loss
from common.model.losses.blob import blob_dice
from common.model.losses.lesions import number_lesions
from common.model.losses.size_weighted import lesion_weights, size_weighted_dice
from common.model.losses.target import make_target
from common.training_spec import TrainingSpec
from tests.common.model.losses.examples import logits_of, noise, two_lesions


def blob(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return blob_dice()(logits, make_target(label, logits.shape[1], (), with_lesions=True))


def weighted(logits: torch.Tensor, label: torch.Tensor, exponent: float) -> torch.Tensor:
    target = make_target(label, logits.shape[1], (), with_lesions=True)
    return size_weighted_dice(exponent)(logits, target)


def test_lesions_are_numbered_by_sample_and_class() -> None:
    label = torch.zeros(2, 6, 6, 6, dtype=torch.int64)
    label[0, 0, 0, :3] = 1
    label[0, 1, 1, 3] = 1  # touches by a corner: the same lesion
    label[0, 0, 1, :2] = 2  # touches too, but is of another class
    label[1, 5, 5, 5] = 1
    lesions = number_lesions(label)
    rows = torch.stack([lesions.sample, lesions.cls, lesions.voxels.long()]).T.tolist()
    assert sorted(rows) == [[0, 1, 4], [0, 2, 2], [1, 1, 1]]
    assert lesions.voxels[lesions.number[1, 5, 5, 5] - 1] == 1.0
    assert torch.equal(lesions.number > 0, label > 0)


def test_a_missed_small_lesion_costs_half_in_the_blob_loss_and_nearly_nothing_in_dice() -> None:
    label = two_lesions(100, 1)
    found = label.clone()
    found[0, -1] = 0
    logits = logits_of(found[0].float())
    assert blob(logits, label).item() == pytest.approx(0.5, abs=1e-4)
    assert weighted(logits, label, 0.0).item() == pytest.approx(1 - 200 / 201, abs=1e-4)
    spec = TrainingSpec(loss="blob", blob_weight=2.0)
    extra = build_loss(spec)(logits, label) - build_loss(TrainingSpec())(logits, label)
    assert extra.item() == pytest.approx(2.0 * 0.5, abs=1e-3)


@pytest.mark.parametrize("classes", [2, 4])
def test_blob_is_monais_dice_with_the_other_lesions_masked_out(classes: int) -> None:
    logits, _ = noise(classes, samples=1)
    label = torch.zeros(1, 6, 5, 4, dtype=torch.int64)
    label[0, 0, :2], label[0, 3:5, 4, 2:], label[0, 5, 0, 0] = 1, classes - 1, 1
    lesions = number_lesions(label)
    dice = DiceLoss(smooth_nr=1e-5, smooth_dr=1e-5)
    costs = []
    for number, cls in enumerate(lesions.cls.tolist(), start=1):
        inside = lesions.number == number
        domain = inside | (label != cls)
        probability = torch.softmax(logits, 1)[:, cls] * domain
        costs.append(dice(probability[:, None], inside[:, None].float()))
    assert len(costs) == 3
    assert blob(logits, label).item() == pytest.approx(torch.stack(costs).mean().item(), abs=1e-6)


def test_a_patch_without_a_lesion_has_no_blob_cost() -> None:
    logits, label = noise(2)
    label[1] = 0
    assert blob(logits, label)[1].item() == 0.0


def test_weights_fall_with_size_within_a_class() -> None:
    label = two_lesions(100, 4)
    lesions = number_lesions(label)
    like = torch.zeros(1, 2)
    assert sorted(lesion_weights(lesions, like, 0.5).tolist()) == pytest.approx([1.0, 5.0])
    assert sorted(lesion_weights(lesions, like, 1.0).tolist()) == pytest.approx([1.0, 25.0])


def test_size_weighted_dice_by_hand() -> None:
    """100 voxels found, 4 missed, weight 5, nothing else: 1 - 2 * 100 / (100 + 100 + 20)."""
    label = two_lesions(100, 4)
    found = label.clone()
    found[0, -1] = 0
    assert weighted(logits_of(found[0].float()), label, 0.5).item() == pytest.approx(1 - 200 / 220, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_exponent_0_is_dice_ce(classes: int) -> None:
    logits, label = noise(classes)
    spec = TrainingSpec(loss="size_weighted_dice", size_weight_exponent=0.0)
    torch.testing.assert_close(build_loss(spec)(logits, label), build_loss(TrainingSpec())(logits, label))


def test_lesions_are_counted_anew_in_what_augmentation_left() -> None:
    """A lesion that a patch cuts in two is two: nothing of the whole case is remembered."""
    label = two_lesions(20, 4)
    whole = number_lesions(label)
    label[0, 0, 2] = 0
    assert (len(whole.voxels), len(number_lesions(label).voxels)) == (2, 3)
