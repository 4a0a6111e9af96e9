"""Soft Dice in which the voxels of small lesions weigh more.

The idea is the adaptive Dice loss of an extended nnU-Net trained on 2,092 patients with brain metastases. Its
formula is not at hand: the weight below is this project's reading of "adaptive to lesion size", not that study's.
"""

import torch

from common.model.losses.lesions import Lesions, sum_by_class
from common.model.losses.overlap import SMOOTH, Term, mean_over_scored
from common.model.losses.target import Target, log_probabilities


def size_weighted_dice(exponent: float) -> Term:
    """1 - (2 sum(w p y) + s) / (sum(w p) + sum(w y) + s), mean over the foreground classes.

    The voxels of a lesion of V voxels weigh w = (V_max / V)^exponent, V_max being the largest lesion of the patch;
    all other voxels weigh 1. Exponent 0 is soft Dice; at 1 all lesions weigh as much as the largest. A lesion is a
    26-connected component of the classes that count as tumour, together: core and rim of a metastasis have one
    weight, by the size of both, and oedema weighs 1 however large it is.

    Example: lesions of 100 and 4 voxels at exponent 0.5: their voxels weigh 1 and 5, the lesions 100 and 20; and
    so they do where 1 of the 4 is core.
    """

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        lesions = target.lesions
        assert lesions is not None
        probabilities = log_probabilities(logits, target).exp()
        weights = lesion_weights(lesions, len(logits), exponent)
        sums = sum_by_class(probabilities, target.classes, lesions, weights)
        per_class = 1.0 - (2.0 * sums.found + SMOOTH) / (sums.around + sums.found + sums.drawn + SMOOTH)
        return mean_over_scored(per_class, target)

    return term


def lesion_weights(lesions: Lesions, samples: int, exponent: float) -> torch.Tensor:
    """(N,) weight of a voxel of each lesion."""
    largest = torch.zeros(samples, device=lesions.voxels.device)
    largest = largest.scatter_reduce(0, lesions.sample, lesions.voxels, "amax")
    return (largest[lesions.sample] / lesions.voxels).pow(exponent)
