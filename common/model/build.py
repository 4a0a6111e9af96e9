"""Networks by name, from MONAI, with seeded weights."""

import math
from collections.abc import Callable

import torch
from monai.networks.nets import DynUNet, UNet

from common.errors import ConfigError
from common.plan import ModelSpec


def build_model(spec: ModelSpec, in_channels: int, out_channels: int, seed: int) -> torch.nn.Module:
    """Build a network whose initial weights depend on the seed alone.

    The global random state is left as it was. Input (B, in_channels, X, Y, Z), output logits
    (B, out_channels, X, Y, Z); in training mode with deep supervision (B, levels, out_channels, X, Y, Z), every
    level at full size and the finest first.

    Raises:
        ConfigError: too few levels for the network.
    """
    builders: dict[str, Callable[[ModelSpec, int, int], torch.nn.Module]] = {
        "unet": _unet,
        "unet_small": _unet_small,
    }
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return builders[spec.name](spec, in_channels, out_channels)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of trained values, each counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def check_patch_size(spec: ModelSpec, patch_size: tuple[int, int, int]) -> None:
    """Refuse patches that the network cannot halve at every level.

    Six levels halve five times, so that every edge must be a multiple of 32, and 32 x 32 x 32 leaves one voxel
    at the bottom, where instance normalisation has nothing to normalise by.

    Raises:
        ConfigError: names the edge and the nearest sizes that fit.
    """
    step = 2 ** (len(spec.channels) - 1)
    for edge in patch_size:
        if edge % step:
            below, above = edge // step * step, math.ceil(edge / step) * step
            fits = f"{below} or {above}" if below else str(above)
            raise ConfigError(
                f"patch_size {list(patch_size)}: {len(spec.channels)} levels of {spec.name} need multiples of "
                f"{step}; instead of {edge} take {fits}, or fewer channels"
            )
    if math.prod(edge // step for edge in patch_size) < 2:
        raise ConfigError(
            f"patch_size {list(patch_size)} leaves one voxel at the bottom of {len(spec.channels)} levels of "
            f"{spec.name}: take {2 * step} along one axis at least, or fewer channels"
        )


def _unet(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """The plain-convolution U-Net that nnU-Net plans (Isensee et al., Nature Methods 2021), every stride 2.

    Two convolutions a level, instance norm, leaky ReLU. With the default channels, 4 sequences and 4 classes it
    has 31,192,068 parameters.
    """
    levels = len(spec.channels)
    if levels < 3:
        raise ConfigError(f"network unet needs 3 channels at least, got {list(spec.channels)}")
    if spec.deep_supervision and levels < 4:
        raise ConfigError(f"deep_supervision needs 4 channels at least, got {list(spec.channels)}")
    strides = (1,) + (2,) * (levels - 1)
    return DynUNet(  # type: ignore[no-any-return]
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=(3,) * levels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=spec.channels,
        norm_name=("INSTANCE", {"affine": True}),
        act_name=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
        deep_supervision=spec.deep_supervision,
        # nnU-Net gives the coarsest of its levels - 1 outputs the weight 0: such a head need not exist.
        deep_supr_num=max(levels - 3, 1),
    )


def _unet_small(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """MONAI's residual U-Net, strided from the first convolution on: an eighth of the voxels, for CPUs."""
    return UNet(  # type: ignore[no-any-return]
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=spec.channels,
        strides=(2,) * (len(spec.channels) - 1),
        num_res_units=1,
        norm=("INSTANCE", {"affine": True}),
        act=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
    )
