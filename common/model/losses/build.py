"""From a plan's settings of training to its loss."""

from collections.abc import Callable, Mapping, Sequence, Set

import torch

from common.label_meanings import Meanings
from common.model.losses.blob import blob_dice
from common.model.losses.entropy import binary_cross_entropy, cross_entropy, focal
from common.model.losses.overlap import Term, soft_dice, tversky
from common.model.losses.size_weighted import size_weighted_dice
from common.model.losses.supervision import level_weights
from common.model.losses.target import Loss, Target, make_target
from common.training_spec import TrainingSpec

_WITH_LESIONS = frozenset({"blob", "size_weighted_dice"})


def build_loss(spec: TrainingSpec, tumour: Set[int] = frozenset()) -> Loss:
    """Build the loss that `spec.loss` names.

    It takes logits (B, classes, X, Y, Z), or (B, levels, classes, X, Y, Z) under deep supervision, and a label
    (B, X, Y, Z) int64, and gives (B,): sample i's loss depends on sample i alone. A batch joined from several
    sites therefore has exactly the weighted mean of the sites' losses and gradients, which a Dice over the
    whole batch would not. `tumour` are the classes that make up a lesion (`Plan.tumour_classes`), () for all, to
    the losses that tell lesions apart.
    """
    losses: Mapping[str, Callable[[], Term]] = {
        "dice_ce": lambda: _sum(soft_dice(), cross_entropy()),
        "dice_bce": lambda: _sum(soft_dice(), binary_cross_entropy()),
        "dice_focal": lambda: _sum(soft_dice(), focal(spec.focal_gamma)),
        "tversky": lambda: tversky(spec.tversky_alpha, spec.tversky_beta),
        "blob": lambda: _sum(_sum(soft_dice(), cross_entropy()), _times(spec.blob_weight, blob_dice())),
        "size_weighted_dice": lambda: _sum(size_weighted_dice(spec.size_weight_exponent), cross_entropy()),
    }
    return _over_levels(losses[spec.loss](), tumour if spec.loss in _WITH_LESIONS else None)


def _sum(first: Term, second: Term) -> Term:
    return lambda logits, target: first(logits, target) + second(logits, target)


def _times(weight: float, term: Term) -> Term:
    return lambda logits, target: weight * term(logits, target)


def _over_levels(term: Term, lesions_of: Set[int] | None) -> Loss:
    """The weighted sum of the term over the network's outputs; the label is read once."""

    def loss(logits: torch.Tensor, label: torch.Tensor, meanings: Sequence[Meanings] = ()) -> torch.Tensor:
        logits = logits.float()
        supervised = logits.ndim > label.ndim + 1
        levels = logits.unbind(1) if supervised else (logits,)
        target = make_target(label, levels[0].shape[1], meanings, lesions_of)
        if not supervised:
            return term(logits, target)
        return _weighted(term, levels, target)

    return loss


def _weighted(term: Term, levels: Sequence[torch.Tensor], target: Target) -> torch.Tensor:
    parts = [w * term(level, target) for w, level in zip(level_weights(len(levels)), levels, strict=True)]
    return torch.stack(parts).sum(0)
