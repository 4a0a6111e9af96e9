"""Depth, strides and kernel sizes of a U-Net from a patch and its spacing, by nnU-Net's rules.

All axes in planning order (common/planning/axes.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.planning.axes import Floats, Ints

MIN_EDGE = 4
"""No axis is halved below this many voxels."""

BASE_CHANNELS = 32
MAX_CHANNELS = 320
_SIMILAR = 2.0


@dataclass(frozen=True, slots=True)
class Topology:
    """A network's stages, the finest first.

    Attributes:
        patch_size: padded up so that every stage halves evenly.
        strides: at the entry of each stage; (1, 1, 1) for the first.
        kernel_sizes: of each stage's convolutions.
    """

    patch_size: Ints
    strides: tuple[Ints, ...]
    kernel_sizes: tuple[Ints, ...]

    @property
    def channels(self) -> tuple[int, ...]:
        """Width by stage: 32, doubled at each, 320 at most."""
        return tuple(min(BASE_CHANNELS * 2**stage, MAX_CHANNELS) for stage in range(len(self.strides)))

    @property
    def divisor(self) -> Ints:
        """What the patch is a multiple of, by axis: 2 to the power of the times that the axis is halved."""
        first, second, third = (math.prod(stride[axis] for stride in self.strides) for axis in range(3))
        return (first, second, third)

    @property
    def bottom(self) -> Ints:
        """The patch's size at the deepest stage."""
        first, second, third = (edge // step for edge, step in zip(self.patch_size, self.divisor, strict=True))
        return (first, second, third)


def plan_topology(spacing_mm: Floats, patch_size: Sequence[float]) -> Topology:
    """Halve the patch as often as it can be, coarse axes later than fine ones.

    At every stage the axes are halved that have 8 voxels or more and whose spacing there is below twice the finest
    among those; a single such axis needs 12. An axis's kernel is 1 until its spacing is below twice the finest of
    all, and 3 from then on; the deepest stage has 3 everywhere. Then the patch is padded up to what it was halved
    by.

    Example: 80 x 192 x 160 at (1.5, 0.86, 0.86) mm is halved 4, 5 and 5 times, to 5 x 6 x 5, by the strides
    (2, 2, 2) four times and (1, 2, 2) once.
    """
    spacing, size = list(spacing_mm), list(patch_size)
    strides, kernels = [(1, 1, 1)], []
    kernel = [1, 1, 1]
    while axes := _axes_to_halve(spacing, size):
        kernel = _widened(kernel, spacing)
        kernels.append((kernel[0], kernel[1], kernel[2]))
        for axis in axes:
            spacing[axis] *= 2.0
            size[axis] = math.ceil(size[axis] / 2)
        first, second, third = (2 if axis in axes else 1 for axis in range(3))
        strides.append((first, second, third))
    kernels.append((3, 3, 3))
    unpadded = Topology((0, 0, 0), tuple(strides), tuple(kernels))
    first, second, third = (
        math.ceil(edge / step) * step for edge, step in zip(patch_size, unpadded.divisor, strict=True)
    )
    return Topology((first, second, third), unpadded.strides, unpadded.kernel_sizes)


def _axes_to_halve(spacing: Sequence[float], size: Sequence[float]) -> list[int]:
    long_enough = [axis for axis in range(3) if size[axis] >= 2 * MIN_EDGE]
    if not long_enough:
        return []
    finest = min(spacing[axis] for axis in long_enough)
    axes = [axis for axis in long_enough if spacing[axis] / finest < _SIMILAR]
    return [] if len(axes) == 1 and size[axes[0]] < 3 * MIN_EDGE else axes


def _widened(kernel: Sequence[int], spacing: Sequence[float]) -> list[int]:
    finest = min(spacing)
    return [3 if edge / finest < _SIMILAR else width for width, edge in zip(kernel, spacing, strict=True)]
