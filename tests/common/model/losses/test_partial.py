"""Partial labels: what a site cannot tell apart is one class to its loss, and nobody else's."""

import pytest
import torch

from common.model.losses import build_loss
from common.model.losses.target import log_probabilities, make_target
from common.training_spec import TrainingSpec
from tests.common.model.losses.examples import BINARY, LOSSES, TUMOUR, noise


def spec(name: str) -> TrainingSpec:
    return TrainingSpec.model_validate({"loss": name})


def binary_of(label: torch.Tensor) -> torch.Tensor:
    """A three-class label as the binary site would have drawn it."""
    return torch.where((label == 1) | (label == 3), 4, 0)


def test_probabilities_of_a_set_are_summed() -> None:
    logits, label = noise(4, samples=2)
    target = make_target(torch.stack([label[0], binary_of(label[1])]), 4, ((), BINARY))
    probability, plain = log_probabilities(logits, target).exp(), torch.softmax(logits, 1)
    torch.testing.assert_close(probability[0], plain[0])
    for classes in ((0, 2), (1, 3)):
        for each in classes:
            torch.testing.assert_close(probability[1, each], plain[1, classes[0]] + plain[1, classes[1]])
    assert target.scored.tolist() == [[0, 1, 1, 1], [0, 1, 0, 0]]
    assert torch.equal(target.classes[1] == 1, (label[1] == 1) | (label[1] == 3))


@pytest.mark.parametrize("name", LOSSES)
def test_a_binary_sites_loss_is_that_of_a_binary_model_with_the_summed_probabilities(name: str) -> None:
    logits, label = noise(4)
    merged = torch.stack([torch.logsumexp(logits[:, pair], dim=1) for pair in ([0, 2], [1, 3])], dim=1)
    expected = build_loss(spec(name))(merged, (binary_of(label) == 4).long())
    loss = build_loss(spec(name), TUMOUR)
    torch.testing.assert_close(loss(logits, binary_of(label), (BINARY,) * 3), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_binary_labels_say_nothing_about_what_is_in_a_set(name: str) -> None:
    """Moving probability from core to rim, or from background to oedema, costs the binary site nothing."""
    logits, label = noise(4)
    probability = torch.softmax(logits, 1)
    moved = torch.stack(
        [
            0.9 * probability[:, 0],
            0.3 * probability[:, 1],
            probability[:, 2] + 0.1 * probability[:, 0],
            probability[:, 3] + 0.7 * probability[:, 1],
        ],
        dim=1,
    ).log()
    loss, meanings = build_loss(spec(name), TUMOUR), (BINARY,) * 3
    torch.testing.assert_close(
        loss(moved, binary_of(label), meanings), loss(logits, binary_of(label), meanings), rtol=1e-5, atol=1e-6
    )
    assert not torch.allclose(loss(moved, label), loss(logits, label), rtol=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_neighbours_of_another_kind_change_nothing(name: str) -> None:
    logits, label = noise(4, samples=2)
    loss = build_loss(spec(name), TUMOUR)
    mixed = loss(logits, torch.stack([label[0], binary_of(label[1])]), ((), BINARY))
    alone = [loss(logits[:1], label[:1]), loss(logits[1:], binary_of(label[1:]), (BINARY,))]
    torch.testing.assert_close(mixed, torch.cat(alone), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_meanings_that_merge_nothing_are_plain_classes(name: str) -> None:
    logits, label = noise(4)
    plain = ((0,), (1,), (2,), (3,))
    loss = build_loss(spec(name), TUMOUR)
    torch.testing.assert_close(loss(logits, label, (plain,) * 3), loss(logits, label), rtol=1e-6, atol=1e-6)


def test_one_entry_a_sample_is_required() -> None:
    logits, label = noise(4)
    with pytest.raises(ValueError, match="shorter"):
        build_loss(TrainingSpec())(logits, binary_of(label), (BINARY,))
