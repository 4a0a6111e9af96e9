"""Area under the ROC curve over the voxels of one case."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from common.metrics.overlap import Mask, require_same_shape

_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def roc_auc(probability: npt.NDArray[np.floating], reference: Mask) -> float | None:
    """Chance that a voxel of the lesion is given a higher probability than one outside; a tie counts one half.

    (0.1, 0.4, 0.4, 0.8) against (0, 0, 1, 1): of four pairs three are in order and one ties, 3.5 / 4 = 0.875.

    Args:
        probability: any shape, finite.
        reference: the same shape, whatever is not 0 is lesion.

    Returns:
        None where it is undefined: no voxel of the lesion, or none outside.

    Raises:
        ValueError: the shapes differ, or a probability is not finite.

    Source: Hanley and McNeil 1982 (the Mann-Whitney statistic).
    """
    require_same_shape(probability, reference)
    if not np.isfinite(probability).all():
        raise ValueError("probability holds voxels that are not finite; look at how the map was written")
    lesion = reference != 0
    inside, outside = probability[lesion], probability[~lesion]
    if inside.size == 0 or outside.size == 0:
        return None
    # Of a head of nine million voxels nearly all lie below any of the lesion's: only the others need an order.
    lower = int(np.count_nonzero(outside < inside.min())) * int(inside.size)
    near = np.sort(outside[(outside >= inside.min()) & (outside <= inside.max())])
    below, not_above = (lower + int(np.searchsorted(near, inside, side=side).sum()) for side in _SIDES)
    pairs = int(inside.size) * int(outside.size)
    return (below + not_above) / (2.0 * pairs)
