"""Whether nnU-Net would also plan a network on coarser images: where a patch sees too little of a case.

All axes in planning order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from common.planning.axes import Floats, Ints

MIN_SHARE = 0.25
_GROWTH = 1.03
_MIN_REDUCTION = 2.0


@dataclass(frozen=True, slots=True)
class LowResolution:
    """What the rule says.

    Attributes:
        patch_share: the patch's voxels over the median case's.
        spacing_mm, patch_size: of the coarser plan, or None where the patch's share is large enough.
        dropped: a coarser plan was found, but its images have over half the voxels.
    """

    patch_share: float
    spacing_mm: Floats | None = None
    patch_size: Ints | None = None
    dropped: bool = False

    @property
    def wanted(self) -> bool:
        """Whether nnU-Net would train on coarser images too, as the first stage of a cascade."""
        return self.spacing_mm is not None and not self.dropped


def plan_low_resolution(
    spacing_mm: Floats, median_shape: Floats, patch_size: Ints, fit: Callable[[Floats, Floats], Ints]
) -> LowResolution:
    """nnU-Net's rule: a patch that covers under a quarter of the median case asks for coarser images.

    The spacing grows by 3 % at a time, the fine axes first while another is over twice as coarse, until the
    patch that `fit` gives for (spacing, median shape) covers a quarter. A coarser image with more than half the
    voxels is not worth it and is dropped.
    """
    case_voxels = math.prod(median_shape)
    share = math.prod(patch_size) / case_voxels
    coarse, patch, voxels = spacing_mm, patch_size, case_voxels
    while math.prod(patch) / voxels < MIN_SHARE:
        coarse = _coarser(coarse)
        exact = [fine / edge * length for length, fine, edge in zip(median_shape, spacing_mm, coarse, strict=True)]
        voxels = math.prod(exact)
        patch = fit(coarse, (float(round(exact[0])), float(round(exact[1])), float(round(exact[2]))))
    if coarse == spacing_mm:
        return LowResolution(share)
    return LowResolution(share, coarse, patch, dropped=case_voxels / voxels < _MIN_REDUCTION)


def _coarser(spacing_mm: Floats) -> Floats:
    fine = [max(spacing_mm) / edge > 2.0 for edge in spacing_mm]
    first, second, third = (
        edge * _GROWTH if grows or not any(fine) else edge for edge, grows in zip(spacing_mm, fine, strict=True)
    )
    return (first, second, third)
