"""From a network and a prepared case to probabilities and a finished mask on the images' own grid."""

import numpy as np
import numpy.typing as npt
import torch

from client.data.case import Grid, PreparedCase
from client.data.geometry import to_native
from client.inference import predict
from client.postprocessing import Cleaned, clean_native
from common.plan import Plan


def native_probabilities(
    model: torch.nn.Module, case: PreparedCase, plan: Plan, device: torch.device, native: Grid | None = None
) -> npt.NDArray[np.float32]:
    """(K, X, Y, Z) foreground probabilities on the grid of the case's first image, or on another one, `native`."""
    masked = plan.postprocessing.outside_brain == "voxels"
    prepared = predict(
        model, case.image, case.mask, plan.evaluation, plan.training.patch_size, device, masked=masked
    )
    return np.stack([to_native(volume, case.grid, native or case.native) for volume in prepared])


def probability_to_mask(probabilities: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
    """The likeliest class of each voxel where it holds against background, background elsewhere.

    A class of probability p holds where p >= threshold * (p + q), q being the background's: what all classes leave
    to 1. At 0.5 it is the likeliest of all, background among them, as nnU-Net decides. Of a single class p + q is
    1. Classes at 0.35 and 0.35 give the first, background having 0.3; at 0.3 and 0.3 it is background's. Asking
    0.5 of the class itself would put background between core and rim, where neither has half.

    Args:
        probabilities: (K, X, Y, Z) by foreground class.
        threshold: least share of a class beside background; 0.5 itself counts at 0.5.

    Returns:
        (X, Y, Z) uint8, 0 background, k + 1 for class k. Of equal classes the first wins: (0.6, 0.6) is 1.
    """
    likeliest = probabilities.argmax(axis=0).astype(np.uint8)
    highest = probabilities.max(axis=0)
    others = probabilities.sum(axis=0) - highest  # exactly 0 of a single class
    reached = highest >= threshold * (1.0 - others)
    return np.where(reached, likeliest + np.uint8(1), np.uint8(0)).astype(np.uint8)


def finished_mask(
    probabilities: npt.NDArray[np.float32], case: PreparedCase, plan: Plan, native: Grid | None = None
) -> Cleaned:
    """The mask of native probabilities, cleaned up as the plan says; what is scored, shown and written."""
    mask = probability_to_mask(probabilities, plan.evaluation.threshold)
    return clean_native(mask, case, plan, native)
