"""From a fingerprint to a plan: nnU-Net's rules one after the other (Isensee et al., Nature Methods 2021; v2)."""

import math
from dataclasses import dataclass

from common.planning.axes import PlanningOrder, planning_order
from common.planning.fingerprint import Fingerprint
from common.planning.lowres import LowResolution, plan_low_resolution
from common.planning.memory import (
    REFERENCE_BATCH,
    NetworkSize,
    PlannedNetwork,
    feature_budget,
    network_size,
)
from common.planning.normalisation import Normalisation, plan_normalisation
from common.planning.patch import Batch, FittedPatch, fit_batch, fit_patch
from common.planning.spacing import TargetSpacing, target_spacing
from common.planning.topology import Topology


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be trained, and on what machine.

    Attributes:
        sequences: input channels.
        labels: what is segmented; background comes on top.
        memory_gb: of the GPU, by nnU-Net's scale (mixed precision).
        network: plain U-Net, or with a residual encoder.
    """

    sequences: tuple[str, ...]
    labels: tuple[str, ...]
    memory_gb: float = 8.0
    network: PlannedNetwork = "unet"


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What the rules give. Everything with axes is in planning order; `order` turns it into (x, y, z).

    Attributes:
        request, fingerprint: what it was made from.
        order: which axis is which.
        target: spacing.
        median_shape: the median case at that spacing, in voxels.
        fitted: patch and topology, and how they came about.
        size: the network's, on that patch.
        batch: patches a step.
        low_resolution: whether a coarser network was called for.
        normalisation: of intensities.
    """

    request: Request
    fingerprint: Fingerprint
    order: PlanningOrder
    target: TargetSpacing
    median_shape: tuple[float, float, float]
    fitted: FittedPatch
    size: NetworkSize
    batch: Batch
    low_resolution: LowResolution
    normalisation: Normalisation

    @property
    def topology(self) -> Topology:
        """The network's stages and its patch."""
        return self.fitted.topology


def plan_network(fingerprint: Fingerprint, request: Request) -> NetworkPlan:
    """Plan a network for a dataset.

    Example: the published fingerprint of UCSF-BMSR (324 exams, 1.5 x 0.8594 x 0.8594 mm, 100.5 x 227 x 215
    voxels along z, y, x), 4 sequences, 8 GB: two patches of 80 x 192 x 160, six stages.

    Raises:
        ConfigError: not even the smallest patch fits in memory.
    """
    order = planning_order(fingerprint.spacing_mm)
    target = target_spacing(
        order.from_xyz(fingerprint.spacing_mm),
        order.from_xyz(fingerprint.spacing_p10_mm),
        order.from_xyz(fingerprint.shape),
    )
    median_shape = order.from_xyz(fingerprint.shape_at(order.to_xyz(target.spacing_mm)))
    budget = feature_budget(request.network, request.memory_gb)

    def size_of(topology: Topology) -> NetworkSize:
        return network_size(request.network, topology, len(request.sequences), 1 + len(request.labels))

    def fit(spacing_mm: tuple[float, float, float], shape: tuple[float, float, float]) -> FittedPatch:
        return fit_patch(spacing_mm, shape, budget, lambda topology: size_of(topology).features)

    fitted = fit(target.spacing_mm, median_shape)
    return NetworkPlan(
        request=request,
        fingerprint=fingerprint,
        order=order,
        target=target,
        median_shape=median_shape,
        fitted=fitted,
        size=size_of(fitted.topology),
        batch=fit_batch(fitted, REFERENCE_BATCH, math.prod(median_shape) * fingerprint.cases),
        low_resolution=plan_low_resolution(
            target.spacing_mm,
            median_shape,
            fitted.topology.patch_size,
            lambda spacing_mm, shape: fit(spacing_mm, shape).topology.patch_size,
        ),
        normalisation=plan_normalisation(request.sequences, fingerprint.cropped_share),
    )
