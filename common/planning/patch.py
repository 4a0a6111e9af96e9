"""Patch size and batch size from spacing, the median case and memory, by nnU-Net's rules.

All axes in planning order (common/planning/axes.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from common.errors import ConfigError
from common.planning.axes import Floats, Ints
from common.planning.topology import Topology, plan_topology

Features: TypeAlias = Callable[[Topology], int]
"""The values that a network of a topology keeps for one sample."""

INITIAL_VOXELS = 256**3
MIN_BATCH = 2


@dataclass(frozen=True, slots=True)
class Shrinking:
    """One step on the way to a patch that fits.

    Attributes:
        axis: which was shortened: the longest of the patch relative to the median case.
        patch_size: what it became.
        features: values that a sample then keeps.
    """

    axis: int
    patch_size: Ints
    features: int


@dataclass(frozen=True, slots=True)
class FittedPatch:
    """A patch that fits in memory, and how it came about.

    Attributes:
        initial: the first patch, before padding.
        padded: the first patch that a network can have, and `padded_features`, what it keeps.
        steps: how it was shortened; empty when it fitted at once.
        topology: the network, with its patch.
        features: values that a sample keeps.
        budget: values that a sample may keep for two samples to fit.
    """

    initial: Floats
    padded: Ints
    padded_features: int
    steps: tuple[Shrinking, ...]
    topology: Topology
    features: int
    budget: float


@dataclass(frozen=True, slots=True)
class Batch:
    """How many patches a step takes.

    Attributes:
        size: what is planned.
        by_memory: what memory would hold.
        by_dataset: what the share of the dataset's voxels that a batch may cover would allow.
    """

    size: int
    by_memory: int
    by_dataset: int


def initial_patch(spacing_mm: Floats, median_shape: Floats) -> Floats:
    """A patch of 256 cubed voxels, as many mm long in each axis, cut to the median case.

    Example: at (1.5, 0.8594, 0.8594) mm it is 177 x 308 x 308, cut by a case of 100.5 x 227 x 215 to that.
    """
    volume = INITIAL_VOXELS * math.prod(spacing_mm)
    edge_mm = volume ** (1.0 / 3.0)
    first, second, third = (
        min(float(round(edge_mm / edge)), length) for edge, length in zip(spacing_mm, median_shape, strict=True)
    )
    return (first, second, third)


def fit_patch(spacing_mm: Floats, median_shape: Floats, budget: float, features: Features) -> FittedPatch:
    """Shorten the first patch, one axis at a time, until a network on it keeps no more than `budget` values.

    The axis that is longest relative to the median case (the last of equals) is shortened by what the patch,
    once shortened, must be a multiple of; then the network is planned anew.

    Raises:
        ConfigError: not even the smallest patch fits.
    """
    first = initial_patch(spacing_mm, median_shape)
    topology = plan_topology(spacing_mm, first)
    padded, kept = topology.patch_size, features(topology)
    padded_features, steps = kept, []
    while kept > budget:
        patch = topology.patch_size
        axis = max(range(3), key=lambda one: (patch[one] / median_shape[one], one))
        topology = plan_topology(spacing_mm, _shortened(spacing_mm, topology, axis))
        kept = features(topology)
        steps.append(Shrinking(axis, topology.patch_size, kept))
    return FittedPatch(first, padded, padded_features, tuple(steps), topology, kept, budget)


def fit_batch(fitted: FittedPatch, reference_batch: int, most_voxels: float) -> Batch:
    """What is left of memory becomes more patches a step, up to `most_voxels` in all, but at least two.

    Example: a patch that keeps a fifth of its budget leaves room for 10. With 260 cases of 36 x 50 x 35 voxels
    5 % are 9 patches of 40 x 56 x 40: nine.
    """
    by_memory = round(fitted.budget / fitted.features * reference_batch)
    by_dataset = round(most_voxels / math.prod(fitted.topology.patch_size))
    return Batch(max(min(by_memory, by_dataset), MIN_BATCH), by_memory, by_dataset)


def _shortened(spacing_mm: Floats, topology: Topology, axis: int) -> tuple[int, ...]:
    """The patch, one axis shorter by one step.

    The step is that of the patch one step of the old kind shorter: 256 voxels halve 6 times, a multiple of 64,
    and the next shorter patch is not 192: that halves 5 times, so 224 is legal.
    """

    def less(step: int) -> tuple[int, ...]:
        return tuple(edge - step * (one == axis) for one, edge in enumerate(topology.patch_size))

    tried = less(topology.divisor[axis])
    shorter = less(plan_topology(spacing_mm, tried).divisor[axis])
    if shorter[axis] < 1:
        raise ConfigError(
            f"even a patch of {' x '.join(map(str, topology.patch_size))} voxels needs more memory than is "
            "planned for; give more with --memory-gb"
        )
    return shorter
