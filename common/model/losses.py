"""Training losses, one value a sample, so that a batch's loss is the weighted sum over whoever is in it."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from monai.losses import DiceLoss
from torch.nn.functional import cross_entropy

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def build_loss(name: Literal["dice_ce"]) -> Loss:
    """Build a loss by name.

    It takes logits (B, classes, X, Y, Z), or (B, levels, classes, X, Y, Z) under deep supervision, and a label
    (B, X, Y, Z) int64, and gives (B,): sample i's loss depends on sample i alone. A batch joined from several
    sites therefore has exactly the weighted mean of the sites' losses and gradients, which a Dice over the
    whole batch would not.
    """
    losses: dict[str, Loss] = {"dice_ce": _dice_ce()}
    return _supervise_levels(losses[name])


def level_weights(levels: int) -> tuple[float, ...]:
    """Weights of the outputs under deep supervision, finest first: 1 / 2^i, normalised to sum 1.

    3 levels: (4/7, 2/7, 1/7). nnU-Net's coarsest output, whose weight is 0, is not built at all (build.py).
    """
    raw = [0.5**level for level in range(levels)]
    return tuple(value / sum(raw) for value in raw)


def _dice_ce() -> Loss:
    """Soft Dice over foreground classes plus cross-entropy, 1 : 1, as nnU-Net (batch_dice off, smooth 1e-5)."""
    dice = DiceLoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        reduction="none",
        smooth_nr=1e-5,
        smooth_dr=1e-5,
    )

    def dice_ce(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        overlap: torch.Tensor = dice(logits, label.unsqueeze(1)).flatten(1).mean(1)
        entropy = cross_entropy(logits, label, reduction="none").flatten(1).mean(1)
        return overlap + entropy

    return dice_ce


def _supervise_levels(loss: Loss) -> Loss:
    def over_levels(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        if logits.ndim == label.ndim + 1:
            return loss(logits, label)
        levels = logits.unbind(1)
        parts = [w * loss(level, label) for w, level in zip(level_weights(len(levels)), levels, strict=True)]
        return torch.stack(parts).sum(0)

    return over_levels
