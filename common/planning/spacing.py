"""Target spacing: the median, finer along an axis that is coarse in most cases and not in all."""

from dataclasses import dataclass

from common.planning.axes import Floats

ANISOTROPY = 3.0
_ABOVE_OTHERS_MM = 1e-5


@dataclass(frozen=True, slots=True)
class TargetSpacing:
    """The spacing that all cases are resampled to.

    Attributes:
        spacing_mm: the target, its axes in the order of what it was made from.
        coarse_axis: the axis whose target is its 10th percentile (or just above the other axes), or None where
            the target is the median.
        ratio: coarsest median edge over the next coarsest.
    """

    spacing_mm: Floats
    coarse_axis: int | None
    ratio: float


def target_spacing(median_mm: Floats, p10_mm: Floats, median_shape: Floats) -> TargetSpacing:
    """nnU-Net's rule; axes in any order, the same for all three.

    An axis is coarse when its median edge is over 3 times that of each other axis and the median case has less
    than a third as many voxels along it as along any other. Its target is then the 10th percentile: slices of 5 mm
    with a tenth of the cases at 1 mm are made 1 mm, instead of losing what those cases have. It never goes below
    the other axes.

    Example: median (5, 1, 1), 10th percentile (2.5, 1, 1), shape (30, 200, 200) gives (2.5, 1, 1).
    """
    coarsest = max(range(3), key=lambda axis: median_mm[axis])
    others = [axis for axis in range(3) if axis != coarsest]
    edge = max(median_mm[axis] for axis in others)
    few_voxels = median_shape[coarsest] * ANISOTROPY < min(median_shape[axis] for axis in others)
    ratio = median_mm[coarsest] / edge
    if median_mm[coarsest] <= ANISOTROPY * edge or not few_voxels:
        return TargetSpacing(median_mm, None, ratio)
    target = list(median_mm)
    finer = p10_mm[coarsest]
    target[coarsest] = finer if finer >= edge else edge + _ABOVE_OTHERS_MM
    return TargetSpacing((target[0], target[1], target[2]), coarsest, ratio)
