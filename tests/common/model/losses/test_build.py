import pytest
import torch

from common.model.losses import build_loss, level_weights
from common.training_spec import TrainingSpec
from tests.common.model.losses.examples import BINARY, LOSSES, TUMOUR, noise


def spec(name: str) -> TrainingSpec:
    return TrainingSpec.model_validate({"loss": name})


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [2, 4])
def test_a_samples_loss_does_not_depend_on_its_neighbours(name: str, classes: int) -> None:
    logits, label = noise(classes)
    loss = build_loss(spec(name))
    together = loss(logits, label)
    apart = torch.cat([loss(logits[i : i + 1], label[i : i + 1]) for i in range(3)])
    assert together.shape == (3,)
    torch.testing.assert_close(together, apart, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_patch_costs_nothing_with_lesion_or_without(name: str) -> None:
    label = torch.zeros(2, 4, 4, 4, dtype=torch.int64)
    label[0, 1:3, 1:3, 1:3] = 1
    logits = 100.0 * torch.stack([1.0 - 2.0 * label, 2.0 * label - 1.0], dim=1)
    assert build_loss(spec(name))(logits, label).abs().max().item() < 1e-5


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_gradients_are_finite_without_a_lesion_and_with_extreme_logits(name: str, scale: float) -> None:
    logits, label = noise(4)
    label[0] = 0
    for each, meanings in ((label, ()), (torch.where(label == 0, 0, 4), (BINARY,) * 3)):
        extreme = (scale * logits).requires_grad_()
        build_loss(spec(name), TUMOUR)(extreme, each, meanings).sum().backward()  # type: ignore[no-untyped-call]
        assert extreme.grad is not None and extreme.grad.isfinite().all() and extreme.grad.abs().max() > 0.0


@pytest.mark.parametrize("name", LOSSES)
def test_levels_are_weighted_by_halves(name: str) -> None:
    assert level_weights(3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    logits, label = noise(2)
    loss = build_loss(spec(name))
    levels = torch.stack([logits, -logits], dim=1)
    expected = 2 / 3 * loss(logits, label) + 1 / 3 * loss(-logits, label)
    torch.testing.assert_close(loss(levels, label), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_descending_a_loss_finds_the_lesion(name: str) -> None:
    label = torch.zeros(1, 8, 8, 8, dtype=torch.int64)
    label[0, 2:4, 2:4, 2:4] = 1
    logits = torch.zeros(1, 2, 8, 8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        build_loss(spec(name))(logits, label).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert torch.equal(logits.argmax(1), label)
