"""Overlap of each foreground class with its prediction: soft Dice and Tversky, from MONAI."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from monai.losses import DiceLoss, TverskyLoss

from common.model.losses.target import Target, log_probabilities

Term: TypeAlias = Callable[[torch.Tensor, Target], torch.Tensor]
"""One addend of a loss: (B,) from logits (B, C, X, Y, Z) and their target."""

SMOOTH = 1e-5
"""Added to numerator and denominator, as nnU-Net does: an absent class that is not predicted costs 0."""


def soft_dice() -> Term:
    """1 - (2 sum(p y) + s) / (sum(p) + sum(y) + s), mean over the foreground classes; every patch by itself."""
    return _foreground_mean(
        partial(DiceLoss, to_onehot_y=True, reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH)
    )


def tversky(alpha: float, beta: float) -> Term:
    """1 - (TP + s) / (TP + alpha FP + beta FN + s), mean over the foreground classes (Salehi et al. 2017).

    alpha = beta = 0.5 is soft Dice; beta above alpha makes a missed voxel dearer than a false one.
    """
    return _foreground_mean(
        partial(
            TverskyLoss,
            to_onehot_y=True,
            reduction="none",
            smooth_nr=SMOOTH,
            smooth_dr=SMOOTH,
            alpha=alpha,
            beta=beta,
        )
    )


def mean_over_scored(per_class: torch.Tensor, target: Target) -> torch.Tensor:
    """(B,) from (B, C): the mean over the classes that the sample's site tells from background."""
    return (per_class * target.scored).sum(1) / target.scored.sum(1)


def _foreground_mean(criterion: Callable[..., torch.nn.Module]) -> Term:
    plain = criterion(include_background=False, softmax=True)
    merged = criterion()

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        label = target.classes.unsqueeze(1)
        if target.together is None:
            overlap: torch.Tensor = plain(logits, label)
            return overlap.flatten(1).mean(1)
        return mean_over_scored(merged(log_probabilities(logits, target).exp(), label).flatten(1), target)

    return term
