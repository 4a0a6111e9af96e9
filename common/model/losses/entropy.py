"""Voxel-wise terms: cross-entropy, binary cross-entropy of each class, focal."""

import torch
from torch.nn.functional import cross_entropy as class_entropy
from torch.nn.functional import one_hot

from common.model.losses.overlap import Term, mean_over_scored
from common.model.losses.target import Target, log_probabilities


def cross_entropy() -> Term:
    """-log p of the voxel's class, or of its set of classes; mean over the voxels."""

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        if target.together is None:
            return class_entropy(logits, target.classes, reduction="none").flatten(1).mean(1)
        return -_log_of_truth(logits, target).flatten(1).mean(1)

    return term


def binary_cross_entropy() -> Term:
    """-(y log p + (1 - y) log(1 - p)), mean over the voxels and over the foreground classes.

    p is the class's own probability after the softmax. With one foreground class it is the sigmoid of the two
    logits' difference, and this is cross-entropy: 2 voxels of p = 0.5 cost 0.693 either way.
    """

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        log_p = log_probabilities(logits, target)
        log_rest = _log_of_others(logits, target)
        drawn = _one_hot(target.classes, logits.shape[1])
        per_class = -torch.where(drawn, log_p, log_rest).flatten(2).mean(2)
        return mean_over_scored(per_class, target)

    return term


def focal(gamma: float) -> Term:
    """-(1 - p)^gamma log p of the voxel's class, mean over the voxels (Lin et al. 2017, arXiv 1708.02002).

    gamma = 0 is cross-entropy. At gamma = 2 a voxel of p = 0.9 counts a hundredth of what it would, one of p = 0.1
    still 0.81 of it.
    """

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        log_p = _log_of_truth(logits, target)
        # A gamma below 1 has an endless slope at p = 1, where nothing is left to learn.
        missing = (1.0 - log_p.exp()).clamp_min(1e-7)
        return -(missing.pow(gamma) * log_p).flatten(1).mean(1)

    return term


def _log_of_truth(logits: torch.Tensor, target: Target) -> torch.Tensor:
    """(B, X, Y, Z): the log-probability of what the label says of each voxel."""
    return log_probabilities(logits, target).gather(1, target.classes.unsqueeze(1)).squeeze(1)


def _log_of_others(logits: torch.Tensor, target: Target) -> torch.Tensor:
    """(B, C, X, Y, Z): log(1 - p) of each channel, summed over the other classes: exact near p = 1 too."""
    log_p = torch.log_softmax(logits, dim=1)
    count = logits.shape[1]
    together = target.together
    if together is None:
        together = torch.eye(count, dtype=torch.bool, device=logits.device).expand(len(logits), -1, -1)
    channels = [
        torch.logsumexp(log_p.masked_fill(together[:, c, :, None, None, None], -torch.inf), dim=1)
        for c in range(count)
    ]
    return torch.stack(channels, dim=1)


def _one_hot(classes: torch.Tensor, count: int) -> torch.Tensor:
    return one_hot(classes, count).movedim(-1, 1).bool()
