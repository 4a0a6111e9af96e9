"""A plan as settings of an experiment file, and what no setting can follow. Axes are (x, y, z) here."""

import json
from typing import Any

from common.planning.network_plan import NetworkPlan
from common.planning.reasons import times

_SPACING_DECIMALS = 5
_STAGES = range(3, 9)


def as_sections(plan: NetworkPlan) -> dict[str, dict[str, Any]]:
    """What the rules set of [preprocessing], [model] and [training] of an experiment file."""
    order, topology = plan.order, plan.topology
    return {
        "preprocessing": {
            "spacing_mm": [round(edge, _SPACING_DECIMALS) for edge in order.to_xyz(plan.spacing_mm)]
        },
        "model": {
            "name": plan.request.planner.network,
            "channels": list(topology.channels),
            "kernel_sizes": [list(order.to_xyz(kernel)) for kernel in topology.kernel_sizes],
            "strides": [list(order.to_xyz(stride)) for stride in topology.strides],
        },
        "training": {
            "batch_size": plan.batch.size,
            "patch_size": list(order.to_xyz(topology.patch_size)),
        },
    }


def as_toml(plan: NetworkPlan, source: str) -> str:
    """The sections as TOML, with a line on where they come from."""
    found = plan.fingerprint
    head = (
        f"# Planned by fedmets-sim plan from {source}: {found.cases} cases, {plan.request.memory_gb:g} GB.\n"
        "# Put these settings in place of the same ones of an experiment file. Axes are x, y, z.\n\n"
    )
    sections = [
        "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())])
        for name, settings in as_sections(plan).items()
    ]  # numbers, names and lists of them are the same in JSON and TOML; tomli_w gives every number a line
    return head + "\n\n".join(sections) + "\n"


def cannot_be_built(plan: NetworkPlan) -> str | None:
    """Why fedmets has no network of this plan; None for all but images of a few voxels or of a thousand."""
    if plan.median_shape[0] == 1.0:
        return (
            f"the median case is one voxel thick along {plan.order.names[0]}: the rules have no 3-D network for it"
        )
    stages = len(plan.topology.strides)
    if stages in _STAGES:
        return None
    network = plan.request.planner.network
    return f"the rules ask for {stages} stage(s), {network} is built with {_STAGES[0]} to {_STAGES[-1]}"


def not_followed(plan: NetworkPlan) -> tuple[str, ...]:
    """What nnU-Net would do for this dataset and fedmets does not, a sentence each."""
    found = [
        "images are resampled linearly, smoothed before they are made coarser; nnU-Net uses cubic splines, and "
        "the nearest slice along an axis three times coarser than the others",
        "only a 3-D network of full resolution is planned; nnU-Net also plans one on slices, trains each and "
        "keeps what five-fold cross-validation prefers",
    ]
    fault = cannot_be_built(plan)
    if fault is not None:
        found.append(fault)
    if plan.low_resolution.wanted:
        found.append(
            "there is no cascade: the network on coarser images is left out, and Dice is taken patch by patch, "
            "where nnU-Net, having planned one, takes it over the whole batch"
        )
    if not plan.normalisation.inside_mask:
        found.append("z-scores are always taken inside the brain, not over the whole cropped image")
    if any(edge != int(edge) for edge in plan.median_shape):
        shape = times(plan.order.to_xyz(plan.median_shape))
        found.append(f"the median case of {shape} voxels is no setting: every case keeps its own size")
    return tuple(found)
