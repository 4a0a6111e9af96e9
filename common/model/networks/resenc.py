"""nnU-Net's U-Net with a residual encoder (Isensee et al., MICCAI 2024, arXiv 2404.09556)."""

import torch
from monai.networks.blocks import Convolution
from torch.nn.functional import interpolate

from common.model.networks.norms import INSTANCE, LEAKY
from common.model.networks.unet import check_levels, supervised_levels
from common.model_spec import ModelSpec

_BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6)  # residual blocks a stage; six stages are published
_Size = tuple[int, int, int]


def build_unet_resenc(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Residual blocks 1, 3, 4, 6, 6, 6 in the encoder, one convolution a stage in the decoder.

    Raises:
        ConfigError: too few stages.
    """
    check_levels(spec)
    return ResidualEncoderUNet(spec, in_channels, out_channels)


class ResidualEncoderUNet(torch.nn.Module):
    """(B, C, X, Y, Z) to logits (B, classes, X, Y, Z), or (B, levels, classes, X, Y, Z) under deep supervision."""

    def __init__(self, spec: ModelSpec, in_channels: int, out_channels: int) -> None:
        super().__init__()
        widths, kernels, strides = spec.widths, spec.stage_kernels, spec.stage_strides
        self.stem = _unit(in_channels, widths[0], kernels[0])
        self.encoder = torch.nn.ModuleList()
        entering = (widths[0], *widths[:-1])
        stages = zip(_BLOCKS[: len(widths)], entering, widths, kernels, strides, strict=True)
        for blocks, before, width, kernel, stride in stages:
            first = ResidualBlock(before, width, kernel, stride)
            others = [ResidualBlock(width, width, kernel, (1, 1, 1)) for _ in range(blocks - 1)]
            self.encoder.append(torch.nn.Sequential(first, *others))
        self.up, self.decoder = torch.nn.ModuleList(), torch.nn.ModuleList()
        for stage in reversed(range(len(widths) - 1)):
            stride = strides[stage + 1]
            self.up.append(torch.nn.ConvTranspose3d(widths[stage + 1], widths[stage], stride, stride))
            self.decoder.append(_unit(2 * widths[stage], widths[stage], kernels[stage]))
        supervised = 1 + (supervised_levels(spec) if spec.deep_supervision else 0)
        self.heads = torch.nn.ModuleList(torch.nn.Conv3d(widths[i], out_channels, 1) for i in range(supervised))
        self.apply(_initialise)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits; those of coarser levels, enlarged by repetition, in training only."""
        x, skips = self.stem(image), []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        finest_first: list[torch.Tensor] = []
        for up, convolve, skip in zip(self.up, self.decoder, skips[-2::-1], strict=True):
            x = convolve(torch.cat((up(x), skip), dim=1))
            finest_first.insert(0, x)
        logits = [head(level) for head, level in zip(self.heads, finest_first, strict=False)]
        if len(self.heads) == 1 or not self.training:
            return logits[0]  # type: ignore[no-any-return]
        return torch.stack([interpolate(level, image.shape[2:]) for level in logits], dim=1)


class ResidualBlock(torch.nn.Module):
    """Two convolutions beside a shortcut that averages over the stride (ResNet-D, He et al., arXiv 1812.01187)."""

    def __init__(self, before: int, width: int, kernel: _Size, stride: _Size) -> None:
        super().__init__()
        self.first = _unit(before, width, kernel, stride)
        self.second = Convolution(3, width, width, kernel_size=kernel, norm=INSTANCE, act=None)
        shortcut: list[torch.nn.Module] = []
        if stride != (1, 1, 1):
            shortcut.append(torch.nn.AvgPool3d(stride, stride))
        if before != width:
            shortcut.append(Convolution(3, before, width, kernel_size=1, norm=INSTANCE, act=None, bias=False))
        self.shortcut = torch.nn.Sequential(*shortcut)
        self.activation = torch.nn.LeakyReLU(0.01, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, before, X, Y, Z) to (B, width, X / stride, ...)."""
        return self.activation(self.second(self.first(x)) + self.shortcut(x))  # type: ignore[no-any-return]


def _unit(before: int, width: int, kernel: _Size, stride: _Size = (1, 1, 1)) -> Convolution:
    return Convolution(3, before, width, strides=stride, kernel_size=kernel, norm=INSTANCE, act=LEAKY)


def _initialise(module: torch.nn.Module) -> None:
    """He's normal for leaky ReLU, biases of 0, and blocks that begin as their shortcuts, as nnU-Net."""
    if isinstance(module, (torch.nn.Conv3d, torch.nn.ConvTranspose3d)):
        torch.nn.init.kaiming_normal_(module.weight, a=0.01)
        if module.bias is not None:
            torch.nn.init.zeros_(module.bias)
    elif isinstance(module, ResidualBlock):
        torch.nn.init.zeros_(module.second.adn.N.weight)
