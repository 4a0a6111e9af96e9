"""Why a plan is as it is: one plain sentence a decision, with its numbers. Axes by name, in (x, y, z)."""

import math
from collections.abc import Sequence

from common.planning.memory import PLAIN_CONVOLUTIONS, RESIDUAL_BLOCKS
from common.planning.network_plan import NetworkPlan
from common.planning.normalisation import MASKED_BELOW


def explain(plan: NetworkPlan) -> dict[str, str]:
    """A sentence or two for spacing, patch_size, network, batch_size, low_resolution and normalisation."""
    return {
        "spacing": _spacing(plan),
        "patch_size": _patch(plan),
        "network": _network(plan),
        "batch_size": _batch(plan),
        "low_resolution": _low_resolution(plan),
        "normalisation": _normalisation(plan),
    }


def times(values: Sequence[float]) -> str:
    """Three numbers with a cross between: (1.5, 0.86, 0.86) is "1.5 x 0.86 x 0.86"."""
    return " x ".join(f"{value:.5g}" for value in values)


def _spacing(plan: NetworkPlan) -> str:
    target, found = plan.fingerprint.target, plan.fingerprint
    median = f"the median spacing is {times(found.spacing_mm)} mm"
    if target.coarse_axis is None:
        return (
            f"{median}, its coarsest axis {target.ratio:.3g} times the next; an axis would be made finer only "
            "above 3 times and with under a third of the others' voxels, so the median is the target"
        )
    name, edge = "xyz"[target.coarse_axis], target.spacing_mm[target.coarse_axis]
    p10 = found.spacing_p10_mm[target.coarse_axis]
    return (
        f"{median}, {name} {target.ratio:.3g} times coarser than the other axes, with under a third of their "
        f"voxels: it is made {edge:.5g} mm, after its 10th percentile of {p10:.5g} mm, but no finer than they are"
    )


def _patch(plan: NetworkPlan) -> str:
    fitted, order = plan.fitted, plan.order
    first, padded = order.to_xyz(fitted.initial), order.to_xyz(fitted.padded)
    start = (
        "256 cubed voxels, equally long in mm along every axis and cut to the median case of "
        f"{times(order.to_xyz(plan.median_shape))} voxels, are {times(first)}, and {times(padded)} once padded to "
        "what the network halves by"
    )
    kept, budget = fitted.padded_features / 1e6, fitted.budget / 1e6
    memory = f"the {budget:.0f} million that {plan.request.memory_gb:g} GB allow for each of two"
    if not fitted.steps:
        return f"{start}; a sample then keeps {kept:.0f} million values, within {memory}"
    steps = ", ".join(f"{order.names[step.axis]} to {step.patch_size[step.axis]}" for step in fitted.steps)
    return (
        f"{start}; that keeps {kept:.0f} million values a sample, over {memory}, so the axis that is longest "
        f"relative to the median case was shortened, {steps}, until {fitted.features / 1e6:.0f} million fitted"
    )


def _network(plan: NetworkPlan) -> str:
    topology, order = plan.topology, plan.order
    halved = order.to_xyz([int(math.log2(step)) for step in topology.divisor])
    kernels = sum(1 in kernel for kernel in topology.kernel_sizes)
    late = (
        f"; kernels are 1 along a coarse axis in the first {kernels} stages, until its spacing is below twice the "
        "finest"
        if kernels
        else "; every kernel is 3, no axis being twice as coarse as the finest"
    )
    stages = len(topology.strides)
    blocks = (
        f"{PLAIN_CONVOLUTIONS} convolutions a stage"
        if plan.request.planner.network == "unet"
        else f"{', '.join(map(str, RESIDUAL_BLOCKS[:stages]))} residual blocks and 1 convolution on the way up"
    )
    return (
        f"x, y, z are halved {halved[0]}, {halved[1]} and {halved[2]} times, while 8 voxels or more are left and "
        "the axis is not twice as coarse as the finest that can be halved, to "
        f"{times(order.to_xyz(topology.bottom))} at the bottom: {stages} stages with {blocks}, 32 channels "
        f"doubled at each to 320 at most{late}"
    )


def _batch(plan: NetworkPlan) -> str:
    batch, cases, share = plan.batch, plan.fingerprint.cases, plan.request.planner.batch_share
    return (
        f"memory holds {batch.by_memory} patches, {share * 100:g} % of the dataset ({cases} cases of "
        f"{math.prod(plan.median_shape) / 1e6:.3g} million voxels) are {batch.by_dataset}: the smaller of the "
        "two, but two at least"
    )


def _low_resolution(plan: NetworkPlan) -> str:
    coarse, order = plan.low_resolution, plan.order
    share = f"a patch covers {coarse.patch_share:.0%} of the median case"
    if coarse.spacing_mm is None:
        return f"{share}, 25 % or more: no network on coarser images"
    if coarse.dropped:
        return (
            f"{share}, under 25 %, but at {times(order.to_xyz(coarse.spacing_mm))} mm, where it covers a quarter, "
            "an image has more than half the voxels still: no network on coarser images"
        )
    assert coarse.patch_size is not None
    return (
        f"{share}, under 25 %: nnU-Net would train a first network at {times(order.to_xyz(coarse.spacing_mm))} mm "
        f"with patches of {times(order.to_xyz(coarse.patch_size))}"
    )


def _normalisation(plan: NetworkPlan) -> str:
    share, normalisation = plan.fingerprint.cropped_share, plan.normalisation
    where = "inside the brain, 0 outside it" if normalisation.inside_mask else "over the whole cropped image"
    relation = "under" if normalisation.inside_mask else "not under"
    return (
        f"cropping leaves {share:.0%} of the median image, {relation} {MASKED_BELOW:.0%}: z-scores {where}, for "
        f"{', '.join(normalisation.schemes)}"
    )
