"""Blob loss: every lesion of a patch has a say of its own, however small (Kofler et al., arXiv 2205.08209)."""

import torch

from common.model.losses.lesions import sum_by_class, sum_over_lesions
from common.model.losses.overlap import SMOOTH, Term
from common.model.losses.target import Target, log_probabilities


def blob_dice() -> Term:
    """Mean over a patch's lesions of the soft Dice of each, as if the other lesions of its class were not there.

    A lesion is a 26-connected component of one class (of one set, where the site merged classes). For lesion n of
    V_n voxels, with I_n the sum of its class's probability over its own voxels and P the sum over all voxels that
    are of no lesion of this class, its cost is 1 - (2 I_n + s) / (P + I_n + V_n + s). A patch without a lesion
    costs 0.

    Example: lesions of 100 and 1 voxels, the first found exactly and the second not at all, nothing else
    predicted: (0 + 1) / 2 = 0.5, where soft Dice over both is 1 - 200 / 201 = 0.005.
    """

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        lesions = target.lesions
        assert lesions is not None
        probabilities = log_probabilities(logits, target).exp()
        sums = sum_over_lesions(probabilities, target.classes, lesions)
        around = sums.outside[lesions.sample, lesions.cls]
        both = around + sums.inside + lesions.voxels
        cost = 1.0 - (2.0 * sums.inside + SMOOTH) / (both + SMOOTH)
        count = sum_by_class(torch.ones_like(cost), lesions, sums.outside).sum(1)
        return sum_by_class(cost, lesions, sums.outside).sum(1) / count.clamp_min(1.0)

    return term
