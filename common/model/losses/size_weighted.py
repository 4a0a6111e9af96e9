"""Soft Dice in which the voxels of small lesions weigh more.

The idea is the adaptive Dice loss of an extended nnU-Net trained on 2,092 patients with brain metastases. Its
formula is not at hand: the weight below is this project's reading of "adaptive to lesion size", not that study's.
"""

import torch

from common.model.losses.lesions import Lesions, sum_by_class, sum_over_lesions
from common.model.losses.overlap import SMOOTH, Term, mean_over_scored
from common.model.losses.target import Target, log_probabilities


def size_weighted_dice(exponent: float) -> Term:
    """1 - (2 sum(w p y) + s) / (sum(w p) + sum(w y) + s), mean over the foreground classes.

    The voxels of a lesion of V voxels weigh w = (V_max / V)^exponent, V_max being the largest lesion of that class
    in the patch; all other voxels weigh 1. Exponent 0 is soft Dice; at 1 all lesions weigh as much as the largest.
    A lesion is a 26-connected component of one class (of one set, where the site merged classes).

    Example: lesions of 100 and 4 voxels at exponent 0.5: their voxels weigh 1 and 5, the lesions 100 and 20.
    """

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        lesions = target.lesions
        assert lesions is not None
        probabilities = log_probabilities(logits, target).exp()
        sums = sum_over_lesions(probabilities, target.classes, lesions)
        weights = lesion_weights(lesions, sums.outside, exponent)
        found = sum_by_class(weights * sums.inside, lesions, sums.outside)
        drawn = sum_by_class(weights * lesions.voxels, lesions, sums.outside)
        per_class = 1.0 - (2.0 * found + SMOOTH) / (sums.outside + found + drawn + SMOOTH)
        return mean_over_scored(per_class, target)

    return term


def lesion_weights(lesions: Lesions, like: torch.Tensor, exponent: float) -> torch.Tensor:
    """(N,) weight of a voxel of each lesion; `like` is (B, C)."""
    place = lesions.sample * like.shape[1] + lesions.cls
    largest = torch.zeros(like.numel(), device=like.device)
    largest = largest.scatter_reduce(0, place, lesions.voxels, "amax")
    return (largest[place] / lesions.voxels).pow(exponent)
