"""The plain U-Nets: nnU-Net's, and a small one for CPUs."""

import torch
from monai.networks.blocks import UnetUpBlock
from monai.networks.nets import DynUNet, UNet

from common.errors import ConfigError
from common.model.networks.norms import INSTANCE, LEAKY
from common.model_spec import ModelSpec


def build_unet(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """The plain-convolution U-Net that nnU-Net plans (Isensee et al., Nature Methods 2021).

    Two convolutions a level, instance norm, leaky ReLU; a stage has the same kernel on the way down and up. At its
    published width, with 4 sequences, 4 classes and every stride 2, it has 31,192,068 parameters.

    Raises:
        ConfigError: too few levels.
    """
    check_levels(spec)
    one_kernel = len(set(spec.stage_kernels)) == 1  # whose kernel a stage has is then no question
    network = DynUNet if one_kernel else _OwnKernelsUpwards
    return network(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=spec.stage_kernels,
        strides=spec.stage_strides,
        upsample_kernel_size=spec.stage_strides[1:],
        filters=spec.widths,
        norm_name=INSTANCE,
        act_name=LEAKY,
        deep_supervision=spec.deep_supervision,
        deep_supr_num=supervised_levels(spec),
    )


def build_unet_small(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """MONAI's residual U-Net, strided from the first convolution on: an eighth of the voxels, for CPUs."""
    return UNet(  # type: ignore[no-any-return]
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=spec.widths,
        strides=(2,) * (len(spec.widths) - 1),
        num_res_units=1,
        norm=INSTANCE,
        act=LEAKY,
    )


def check_levels(spec: ModelSpec) -> None:
    """Refuse a U-Net of nnU-Net's with too few levels.

    Raises:
        ConfigError: fewer than 3, or than 4 under deep supervision.
    """
    levels = len(spec.widths)
    if levels < 3:
        raise ConfigError(f"network {spec.name} needs 3 channels at least, got {list(spec.widths)}")
    if spec.deep_supervision and levels < 4:
        raise ConfigError(f"deep_supervision needs 4 channels at least, got {list(spec.widths)}")


def supervised_levels(spec: ModelSpec) -> int:
    """How many outputs beside the finest are supervised: 3 of 6 levels, 1 at least.

    nnU-Net gives the coarsest of its levels - 1 outputs the weight 0: such a head need not exist.
    """
    return max(len(spec.widths) - 3, 1)


class _OwnKernelsUpwards(DynUNet):  # type: ignore[misc]
    """MONAI's network, with each stage's own kernel on the way up, where MONAI takes that of the stage below."""

    def get_upsamples(self) -> torch.nn.ModuleList:
        """The stages on the way up, the coarsest first; MONAI's constructor asks for them."""
        return self.get_module_list(  # type: ignore[no-any-return]
            self.filters[:0:-1],
            self.filters[-2::-1],
            self.kernel_size[-2::-1],
            self.strides[:0:-1],
            UnetUpBlock,
            self.upsample_kernel_size[::-1],
            trans_bias=self.trans_bias,
        )
