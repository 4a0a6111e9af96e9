"""From a fingerprint to a plan: nnU-Net's rules one after the other (Isensee et al., Nature Methods 2021; v2)."""

import math
from dataclasses import dataclass

from common.planning.axes import Floats, PlanningOrder, planning_order
from common.planning.fingerprint import Fingerprint
from common.planning.lowres import LowResolution, plan_low_resolution
from common.planning.memory import NetworkSize, network_size
from common.planning.normalisation import Normalisation, plan_normalisation
from common.planning.patch import Batch, FittedPatch, fit_batch, fit_patch
from common.planning.planners import PLANNERS, REFERENCE_BATCH, Planner, PlannerName
from common.planning.topology import Topology


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be trained, and on what machine.

    Attributes:
        sequences: input channels.
        labels: what is segmented; background comes on top.
        memory_gb: of the GPU, by nnU-Net's scale (mixed precision).
        planner_name: for a plain U-Net, or for one with a residual encoder.
    """

    sequences: tuple[str, ...]
    labels: tuple[str, ...]
    memory_gb: float = 8.0
    planner_name: PlannerName = "unet"

    @property
    def planner(self) -> Planner:
        """The planner of that name."""
        return PLANNERS[self.planner_name]


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What the rules give. Everything with axes is in planning order; `order` turns it into (x, y, z).

    Attributes:
        request, fingerprint: what it was made from.
        order: which axis is which.
        spacing_mm: that all cases are resampled to; `fingerprint.target` says how it came about.
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
    spacing_mm: Floats
    median_shape: Floats
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
    target_mm, planner = fingerprint.target.spacing_mm, request.planner
    order = planning_order(target_mm)
    spacing_mm, median_shape = order.from_xyz(target_mm), order.from_xyz(fingerprint.median_shape)
    budget = planner.feature_budget(request.memory_gb)

    def size_of(topology: Topology) -> NetworkSize:
        return network_size(planner.network, topology, len(request.sequences), 1 + len(request.labels))

    def fit(edges_mm: Floats, shape: Floats) -> FittedPatch:
        return fit_patch(edges_mm, shape, budget, lambda topology: size_of(topology).features)

    fitted = fit(spacing_mm, median_shape)
    dataset_voxels = math.prod(median_shape) * fingerprint.cases
    return NetworkPlan(
        request=request,
        fingerprint=fingerprint,
        order=order,
        spacing_mm=spacing_mm,
        median_shape=median_shape,
        fitted=fitted,
        size=size_of(fitted.topology),
        batch=fit_batch(fitted, REFERENCE_BATCH, dataset_voxels * planner.batch_share),
        low_resolution=plan_low_resolution(
            spacing_mm,
            median_shape,
            fitted.topology.patch_size,
            lambda edges_mm, shape: fit(edges_mm, shape).topology.patch_size,
        ),
        normalisation=plan_normalisation(request.sequences, fingerprint.cropped_share),
    )
