"""Blob loss: every lesion of a patch has a say of its own, however small (Kofler et al., arXiv 2205.08209)."""

import torch

from common.model.losses.lesions import sum_over_lesions
from common.model.losses.overlap import SMOOTH, Term
from common.model.losses.target import Target


def blob_dice() -> Term:
    """Mean over a patch's lesions of the soft Dice of each, as if the other lesions were not there.

    The paper's instances are the connected components of one class. Where the plan draws a tumour in several, that
    class is tumour: a lesion is a 26-connected component of core and rim together, and what is compared with it is
    the sum of their probabilities. Telling core from rim is left to the terms that this one is added to. For
    lesion n of V_n voxels, with I_n the sum of the probability of tumour over its own voxels and P over all voxels
    of no lesion, its cost is 1 - (2 I_n + s) / (P + I_n + V_n + s). A patch without a lesion costs 0.

    Example: lesions of 100 and 1 voxels, the first found exactly and the second not at all, nothing else
    predicted: (0 + 1) / 2 = 0.5, where soft Dice over both is 1 - 200 / 201 = 0.005. It makes no difference
    whether the first is 100 voxels of rim or 60 of rim and 40 of core.
    """

    def term(logits: torch.Tensor, target: Target) -> torch.Tensor:
        lesions = target.lesions
        assert lesions is not None
        sums = sum_over_lesions(torch.log_softmax(logits, dim=1).exp(), lesions)
        both = sums.outside[lesions.sample] + sums.inside + lesions.voxels
        cost = 1.0 - (2.0 * sums.inside + SMOOTH) / (both + SMOOTH)
        empty = torch.zeros_like(sums.outside)
        count = empty.index_add(0, lesions.sample, torch.ones_like(cost))
        return empty.index_add(0, lesions.sample, cost) / count.clamp_min(1.0)

    return term
