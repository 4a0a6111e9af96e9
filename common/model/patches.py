"""Which patches a network can take."""

import math
from dataclasses import dataclass
from typing import TypeAlias

from common.errors import ConfigError
from common.model.networks.deepmedic import COARSE
from common.model_spec import ModelSpec

Shape: TypeAlias = tuple[int, int, int]

_TRIAL_EDGE = 16  # of a network that takes patches of any size
_NORMED_BY_GROUP = ("segresnet",)


@dataclass(frozen=True, slots=True)
class PatchRule:
    """What a network asks of a patch.

    Attributes:
        step: voxels a side, by axis, that become one voxel at the bottom.
        exact: whether every edge must be a multiple of it.
        why: where the step comes from, as "6 levels of unet".
        one_will_do: whether one voxel at the bottom suffices; instance norm needs two.
    """

    step: Shape
    exact: bool
    why: str
    one_will_do: bool = False


def patch_rule(spec: ModelSpec) -> PatchRule:
    """The rule of a network; six levels that halve five times ask for multiples of 32."""
    levels = f"{len(spec.widths)} levels of {spec.name}"
    if spec.name in ("unet", "unet_resenc"):
        x, y, z = (math.prod(stride[axis] for stride in spec.stage_strides) for axis in range(3))
        return PatchRule((x, y, z), True, levels)
    if spec.name == "deepmedic":
        return PatchRule((COARSE,) * 3, False, "the coarse pathway of deepmedic")
    if spec.name == "cnn":
        return PatchRule((1, 1, 1), False, "cnn")
    if spec.name == "resnet34_unet":
        return PatchRule((32,) * 3, True, "stem, pooling and three halvings of resnet34_unet")
    halvings = 2 ** (len(spec.widths) - 1)
    return PatchRule((halvings,) * 3, True, levels, one_will_do=spec.name in _NORMED_BY_GROUP)


def check_patch_size(spec: ModelSpec, patch_size: Shape) -> None:
    """Refuse patches that the network cannot halve at every level.

    Six levels halve five times, so that every edge must be a multiple of 32, and 32 x 32 x 32 leaves one voxel
    at the bottom, where instance normalisation has nothing to normalise by. With the strides of an anisotropic
    plan each axis has its own step.

    Raises:
        ConfigError: names the edge and the nearest sizes that fit.
    """
    rule = patch_rule(spec)
    advice = _advice(spec)
    for axis, (edge, step) in enumerate(zip(patch_size, rule.step, strict=True)):
        if rule.exact and edge % step:
            below, above = edge // step * step, math.ceil(edge / step) * step
            fits = f"{below} or {above}" if below else str(above)
            where = "" if len(set(rule.step)) == 1 else f" along axis {'xyz'[axis]}"
            raise ConfigError(
                f"patch_size {list(patch_size)}: {rule.why} need multiples of {step}{where}; instead of {edge} "
                f"take {fits}{advice}"
            )
    voxels = math.prod(math.ceil(edge / step) for edge, step in zip(patch_size, rule.step, strict=True))
    if voxels < 2 and not rule.one_will_do:
        raise ConfigError(
            f"patch_size {list(patch_size)} leaves one voxel at the bottom of {rule.why}, where instance norm "
            f"has nothing to normalise by: take {2 * rule.step[0]} along one axis at least{advice}"
        )


def smallest_patch(spec: ModelSpec) -> Shape:
    """The smallest patch on which a network's speed can be tried: one step a side, two along the last axis.

    Six levels of unet: (32, 32, 64). Networks that take any size: (16, 16, 32).
    """
    rule = patch_rule(spec)
    x, y, z = rule.step if rule.exact else (_TRIAL_EDGE,) * 3
    return (x, y, 2 * z)


def _advice(spec: ModelSpec) -> str:
    fixed = ("resnet34_unet", "vnet", "segresnet", "cnn", "deepmedic")
    return "" if spec.name in fixed else ", or fewer channels"
