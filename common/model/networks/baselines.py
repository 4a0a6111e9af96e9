"""The baselines beside the U-Net of the UCSF-BMSR paper: a convolutional network, and a fully convolutional one.

Of theirs we know the scores and not the layers: what is here is the plainest network of either kind.
"""

import torch
from monai.networks.blocks import Convolution
from torch.nn.functional import interpolate

from common.model.networks.norms import INSTANCE
from common.model_spec import ModelSpec

_SCORED = 3  # how many of the deepest stages an FCN scores


def build_cnn(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Convolutions of 3 cubed at full resolution, one a width, with dropout; no pooling, hence little context.

    Four layers see 9 voxels a side.
    """
    entering = (in_channels, *spec.widths[:-1])
    layers = [
        _convolution(before, width, spec.dropout_share)
        for before, width in zip(entering, spec.widths, strict=True)
    ]
    return torch.nn.Sequential(*layers, torch.nn.Conv3d(spec.widths[-1], out_channels, 1))


def build_fcn(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Stages of two convolutions and a pooling, whose scores are added and enlarged (Long et al., CVPR 2015)."""
    return FullyConvolutional(spec.widths, in_channels, out_channels, spec.dropout_share)


class FullyConvolutional(torch.nn.Module):
    """(B, C, X, Y, Z) to logits (B, classes, X, Y, Z).

    The three deepest stages are scored by convolutions of 1 cubed; scores are enlarged linearly, added to those of
    the next finer stage, and at the end enlarged to the image: strides 4, 8 and 16 with five stages (FCN-8s on
    photographs has 8, 16 and 32). No decoder, no joined features: that is what a U-Net adds.
    """

    def __init__(self, widths: tuple[int, ...], in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.stages = torch.nn.ModuleList()
        for stage, (before, width) in enumerate(zip((in_channels, *widths[:-1]), widths, strict=True)):
            share = dropout if stage == len(widths) - 1 else 0.0
            pool = [torch.nn.MaxPool3d(2)] if stage else []
            convolutions = (_convolution(before, width, share), _convolution(width, width, share))
            self.stages.append(torch.nn.Sequential(*pool, *convolutions))
        self.scores = torch.nn.ModuleList(torch.nn.Conv3d(width, out_channels, 1) for width in widths[-_SCORED:])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits at the image's size."""
        x, outputs = image, []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        scores = [score(x) for score, x in zip(self.scores, outputs[-len(self.scores) :], strict=True)]
        total = scores.pop()
        while scores:
            finer = scores.pop()
            total = _enlarge(total, finer.shape[2:]) + finer
        return _enlarge(total, image.shape[2:])


def _convolution(before: int, width: int, dropout: float) -> Convolution:
    return Convolution(
        3, before, width, kernel_size=3, norm=INSTANCE, act=("relu", {"inplace": True}), dropout=dropout
    )


def _enlarge(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return x if x.shape[2:] == size else interpolate(x, size=size, mode="trilinear", align_corners=False)
