"""What `fedmets-sim plan` prints: fingerprint, settings, reasons, and where fedmets does otherwise."""

from collections.abc import Mapping
from typing import Any

from client.data.quality import bad_count
from common.errors import CaseReason
from common.notice import NOTICE
from common.planning.network_plan import NetworkPlan
from common.planning.reasons import explain, times
from common.planning.settings import as_sections, not_followed


def as_text(plan: NetworkPlan, quarantined: Mapping[str, int]) -> str:
    """Fingerprint, settings, reasons and what is not followed, for a person."""
    found = plan.fingerprint
    intensities = [
        f"  {name:<13} mean {one.mean:.4g}, sd {one.sd:.4g}, 0.5 % {one.p005:.4g}, 99.5 % {one.p995:.4g} "
        f"in {one.cases} cases"
        for name, one in found.intensities.items()
    ]
    settings = [
        f"  {name:<13} {value}" for section in as_sections(plan).values() for name, value in section.items()
    ]
    size = plan.size
    return "\n".join(
        [
            f"fingerprint: {found.cases} cases of {found.patients} patients, {told_put_aside(quarantined)}; "
            "axes are x, y, z",
            f"  spacing       {times(found.spacing_mm)} mm, 10th percentile {times(found.spacing_p10_mm)} mm",
            f"  shape         {times(found.shape)} voxels ({times(found.extent_mm)} mm) in the box around the "
            f"brain, {found.cropped_share:.0%} of the image",
            *intensities,
            f"plan for {plan.request.memory_gb:g} GB",
            *settings,
            f"  size          {size.parameters / 1e6:.1f} million weights; a sample keeps "
            f"{size.features / 1e6:.0f} million values and takes {size.multiply_adds / 1e9:.0f} billion "
            "multiply-adds forwards",
            "why",
            *(f"  {decision}: {sentence}" for decision, sentence in explain(plan).items()),
            "where fedmets does otherwise than nnU-Net",
            *(f"  {sentence}" for sentence in not_followed(plan)),
            NOTICE,
        ]
    )


def as_numbers(plan: NetworkPlan, quarantined: Mapping[str, int]) -> dict[str, Any]:
    """The same for a program; JSON types only."""
    order, coarse = plan.order, plan.low_resolution
    return {
        "fingerprint": plan.fingerprint.model_dump(mode="json"),
        "quarantine": dict(quarantined),
        "planner": plan.request.planner_name,
        "memory_gb": plan.request.memory_gb,
        "settings": as_sections(plan),
        "median_shape": list(order.to_xyz(plan.median_shape)),
        "normalisation": {
            "schemes": plan.normalisation.schemes,
            "inside_mask": plan.normalisation.inside_mask,
        },
        "low_resolution": {
            "wanted": coarse.wanted,
            "patch_share": coarse.patch_share,
            "spacing_mm": None if coarse.spacing_mm is None else list(order.to_xyz(coarse.spacing_mm)),
            "patch_size": None if coarse.patch_size is None else list(order.to_xyz(coarse.patch_size)),
        },
        "size": {
            "parameters": plan.size.parameters,
            "features": plan.size.features,
            "multiply_adds": plan.size.multiply_adds,
        },
        "batch": {"by_memory": plan.batch.by_memory, "by_dataset": plan.batch.by_dataset},
        "why": explain(plan),
        "not_followed": list(not_followed(plan)),
    }


def told_put_aside(quarantined: Mapping[str, int]) -> str:
    """Example: "3 put aside (2 not-3d, 1 no-brain-mask)"; cases that the dataset itself excludes do not count."""
    counts = {reason: count for reason, count in quarantined.items() if reason != CaseReason.EXCLUDED}
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    return f"{bad_count(quarantined)} put aside" + (f" ({reasons})" if reasons else "")
