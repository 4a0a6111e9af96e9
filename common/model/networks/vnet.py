"""V-Net, put together from MONAI's stages so that its width and its number of sequences are free."""

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets.vnet import DownTransition, OutputTransition, UpTransition

from common.model.networks.norms import INSTANCE, without_batch_norm
from common.model.networks.widths import need_doubling, need_multiple, need_stages
from common.model_spec import ModelSpec

_DOWN = (1, 2, 3, 2)  # convolutions of 5 cubed a stage, as MONAI has them
_UP = (1, 1, 2, 2)  # the same, the finest first
_DROPPED_FROM = 2  # the finer stages have no dropout of their own, but for what comes over the skips
_ACTIVATION = "prelu"


def build_vnet(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Milletari et al. (3DV 2016, arXiv 1606.04797) by MONAI, with instance norm.

    Raises:
        ConfigError: other than 5 channels, an odd one, or channels that do not double.
    """
    need_stages(spec, len(_DOWN) + 1)
    need_doubling(spec)
    need_multiple(spec, 2, "half of them come over the skip connection")
    return without_batch_norm(VNet(spec.widths, in_channels, out_channels, spec.dropout_share))


class VNet(torch.nn.Module):
    """(B, C, X, Y, Z) to logits (B, classes, X, Y, Z); edges are multiples of 16."""

    def __init__(self, widths: tuple[int, ...], in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.entry = _Entry(in_channels, widths[0])
        self.down, self.up = torch.nn.ModuleList(), torch.nn.ModuleList()
        for stage, convolutions in enumerate(_DOWN):
            own = dropout if stage >= _DROPPED_FROM else None
            self.down.append(DownTransition(3, widths[stage], convolutions, _ACTIVATION, dropout_prob=own))
        entering = (*(2 * width for width in widths[1:-1]), widths[-1])
        for stage, convolutions in reversed(list(enumerate(_UP))):
            own = dropout if stage >= _DROPPED_FROM else None
            width = 2 * widths[stage]  # half from below, half over the skip
            self.up.append(
                UpTransition(3, entering[stage], width, convolutions, _ACTIVATION, dropout_prob=(own, dropout))
            )
        self.exit = OutputTransition(3, 2 * widths[0], out_channels, _ACTIVATION)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits at the image's size."""
        x, skips = self.entry(image), []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(x, skip)
        return self.exit(x)  # type: ignore[no-any-return]


class _Entry(torch.nn.Module):
    """A convolution beside the image itself, whose channels are repeated in turn up to the width.

    MONAI's stage repeats them a whole number of times and so refuses 3 or 5 sequences; where it does not refuse,
    this is the same.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.convolution = Convolution(3, in_channels, width, kernel_size=5, norm=INSTANCE, act=None, bias=False)
        self.activation = torch.nn.PReLU(width)
        self._width = width
        self._repeats = -(-width // in_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, C, X, Y, Z) to (B, width, X, Y, Z)."""
        repeated = image.repeat(1, self._repeats, 1, 1, 1)[:, : self._width]
        return self.activation(self.convolution(image) + repeated)  # type: ignore[no-any-return]
