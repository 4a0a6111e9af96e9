"""Blob loss and size-weighted Dice, by hand and against MONAI lesion by lesion."""

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn.functional import one_hot

from common.model.losses import build_loss
from common.model.losses.blob import blob_dice
from common.model.losses.lesions import number_lesions
from common.model.losses.size_weighted import lesion_weights, size_weighted_dice
from common.model.losses.target import make_target
from common.training_spec import TrainingSpec
from tests.common.model.losses.examples import TUMOUR, logits_of, noise, two_lesions

EVERY: frozenset[int] = frozenset()


def blob(logits: torch.Tensor, label: torch.Tensor, tumour: frozenset[int] = EVERY) -> torch.Tensor:
    return blob_dice()(logits, make_target(label, logits.shape[1], (), tumour))


def weighted(
    logits: torch.Tensor, label: torch.Tensor, exponent: float, tumour: frozenset[int] = EVERY
) -> torch.Tensor:
    return size_weighted_dice(exponent)(logits, make_target(label, logits.shape[1], (), tumour))


def metastases() -> torch.Tensor:
    """(1, 10, 8, 8): 4 voxels of core and 8 of rim amid oedema (64 in all), and 1 voxel of rim far from them."""
    label = torch.zeros(1, 10, 8, 8, dtype=torch.int64)
    label[0, :4, :4, :4] = 2
    label[0, 1:3, 1:4, 1:3] = 3
    label[0, 1:3, 1:2, 1:3] = 1
    label[0, 9, 7, 7] = 3
    return label


def sharp(label: torch.Tensor) -> torch.Tensor:
    """Logits (B, 4, X, Y, Z) that are sure of these classes."""
    return 50.0 * one_hot(label, 4).movedim(-1, 1).float()


def test_core_and_rim_are_one_lesion_and_oedema_is_none() -> None:
    label = metastases()
    lesions = number_lesions(label, TUMOUR)
    assert (lesions.sample.tolist(), lesions.voxels.tolist()) == ([0, 0], [12.0, 1.0])
    assert torch.equal(lesions.number > 0, (label == 1) | (label == 3))
    assert number_lesions(label, frozenset({1, 2, 3})).voxels.tolist() == [64.0, 1.0]


def test_lesions_are_numbered_by_sample() -> None:
    label = torch.zeros(2, 6, 6, 6, dtype=torch.int64)
    label[0, 0, 0, :3] = 1
    label[0, 1, 1, 3] = 1  # touches by a corner: the same lesion
    label[0, 5, 0, :2] = 2
    label[1, 5, 5, 5] = 1
    lesions = number_lesions(label, frozenset({1, 2}))
    assert torch.stack([lesions.sample, lesions.voxels.long()]).T.tolist() == [[0, 4], [0, 2], [1, 1]]
    assert lesions.voxels[lesions.number[1, 5, 5, 5] - 1] == 1.0
    assert torch.equal(lesions.number > 0, label > 0)


def test_a_metastasis_of_three_classes_has_one_say_in_the_blob_loss() -> None:
    """Found as a whole, while the single voxel is missed: one of two costs 1, not one of four."""
    label = metastases()
    found = label.clone()
    found[0, 9] = 0
    assert blob(sharp(found), label, TUMOUR).item() == pytest.approx(0.5, abs=1e-4)


def test_blob_of_three_classes_is_that_of_tumour_against_the_rest() -> None:
    """Neither what is core and what rim nor what is oedema changes it."""
    logits, label = 3.0 * noise(4, samples=1)[0], torch.zeros(1, 6, 5, 4, dtype=torch.int64)
    label[0, :3, :3], label[0, 1, 1], label[0, 5, 4, 3] = 2, torch.tensor([1, 3, 3, 1]), 3
    merged = torch.stack([torch.logsumexp(logits[:, pair], dim=1) for pair in ([0, 2], [1, 3])], dim=1)
    expected = blob(merged, ((label == 1) | (label == 3)).long())
    torch.testing.assert_close(blob(logits, label, TUMOUR), expected)
    assert not torch.allclose(blob(logits, label), expected, rtol=0.05)  # with oedema as tumour


def test_a_voxel_weighs_by_the_metastasis_it_is_of() -> None:
    """Dice with w(x) written out, against what is summed lesion by lesion and class by class."""
    label = metastases()
    logits = torch.randn(1, 4, 10, 8, 8, generator=torch.Generator().manual_seed(1))
    weight = torch.ones(label.shape)
    weight[0, 9, 7, 7] = (12 / 1) ** 0.7  # the larger one has 12 voxels of core and rim, oedema not counted
    p, y = torch.softmax(logits, 1), one_hot(label, 4).movedim(-1, 1)
    found, predicted, drawn = ((weight * each).flatten(2).sum(2) for each in (p * y, p, y))
    oracle = (1 - (2 * found + 1e-5) / (predicted + drawn + 1e-5))[:, 1:].mean()
    assert weighted(logits, label, 0.7, TUMOUR).item() == pytest.approx(oracle.item(), abs=1e-6)


def test_oedema_weighs_one_however_small() -> None:
    label = metastases()
    label[0, 7, :2, :2] = 2  # 4 more voxels of oedema, apart
    missed = label.clone()
    missed[0, 7] = 0
    plain, heavy = (weighted(sharp(missed), label, exponent, TUMOUR).item() for exponent in (0.0, 2.0))
    assert plain == pytest.approx((1 - 2 * 52 / (52 + 56)) / 3, abs=1e-5)
    assert heavy == pytest.approx(plain, abs=1e-5)


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
    lesions = number_lesions(label, frozenset(range(1, classes)))
    dice = DiceLoss(smooth_nr=1e-5, smooth_dr=1e-5)
    costs = []
    for number in range(1, len(lesions.voxels) + 1):
        inside = lesions.number == number
        domain = inside | (label == 0)
        probability = torch.softmax(logits, 1)[:, 1:].sum(1) * domain
        costs.append(dice(probability[:, None], inside[:, None].float()))
    assert len(costs) == 3
    assert blob(logits, label).item() == pytest.approx(torch.stack(costs).mean().item(), abs=1e-6)


def test_a_patch_without_a_lesion_has_no_blob_cost() -> None:
    logits, label = noise(2)
    label[1] = 0
    assert blob(logits, label)[1].item() == 0.0


def test_weights_fall_with_size() -> None:
    label = two_lesions(100, 4)
    lesions = number_lesions(label, frozenset({1}))
    assert sorted(lesion_weights(lesions, 1, 0.5).tolist()) == pytest.approx([1.0, 5.0])
    assert sorted(lesion_weights(lesions, 1, 1.0).tolist()) == pytest.approx([1.0, 25.0])


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
    whole = number_lesions(label, frozenset({1}))
    label[0, 0, 2] = 0
    assert (len(whole.voxels), len(number_lesions(label, frozenset({1})).voxels)) == (2, 3)
