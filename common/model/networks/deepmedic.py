"""DeepMedic: two pathways that see the same place at two resolutions (Kamnitsas et al., Med Image Anal 2017).

Published, the second pathway reads a larger piece of the image, cut out around the first one's and averaged over
3 x 3 x 3 voxels; convolutions are unpadded, so that the output is smaller than the input. Here a network gets one
patch and answers for the whole of it. Both pathways therefore read that patch, the second one averaged by 3, and
convolutions are padded with zeros. Every output voxel still sees 17 voxels a side at full resolution and 51 at
the coarse one, as published, but no farther than the patch reaches: take patches well above 51 voxels. Near the
border, where part of the context is zeros, sliding windows weight the answer down.
"""

import torch
from monai.networks.blocks import Convolution
from torch.nn.functional import avg_pool3d

from common.model.networks.norms import INSTANCE
from common.model_spec import ModelSpec

COARSE = 3  # the second pathway's voxels are 3 x 3 x 3 of the first's
_JOINED = 3  # published: pathways end in 50 channels, the two joined layers have 150


def build_deepmedic(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Eight layers of 3 cubed in each pathway, two joined layers of 1 cubed with dropout, then the classes.

    `channels` are the widths of a pathway's layers; each joined layer has three times the last.
    """
    return DeepMedic(spec.widths, in_channels, out_channels, spec.dropout_share)


class DeepMedic(torch.nn.Module):
    """(B, C, X, Y, Z) to logits (B, classes, X, Y, Z), for edges of any length."""

    def __init__(self, widths: tuple[int, ...], in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        joined = _JOINED * widths[-1]
        self.fine, self.coarse = _pathway(in_channels, widths), _pathway(in_channels, widths)
        self.joined = torch.nn.Sequential(
            _layer(2 * widths[-1], joined, kernel=1, dropout=dropout),
            _layer(joined, joined, kernel=1, dropout=dropout),
        )
        self.head = torch.nn.Conv3d(joined, out_channels, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits at the image's size; 64 voxels make 22 coarse ones, the last over what is left of the image."""
        coarse = self.coarse(avg_pool3d(image, COARSE, COARSE, ceil_mode=True, count_include_pad=False))
        for axis in (2, 3, 4):
            coarse = coarse.repeat_interleave(COARSE, axis).narrow(axis, 0, image.shape[axis])
        return self.head(self.joined(torch.cat((self.fine(image), coarse), dim=1)))  # type: ignore[no-any-return]


def _pathway(in_channels: int, widths: tuple[int, ...]) -> torch.nn.Module:
    entering = (in_channels, *widths[:-1])
    return torch.nn.Sequential(*(_layer(before, width) for before, width in zip(entering, widths, strict=True)))


def _layer(before: int, width: int, kernel: int = 3, dropout: float = 0.0) -> Convolution:
    act = ("prelu", {"num_parameters": width})
    return Convolution(3, before, width, kernel_size=kernel, norm=INSTANCE, act=act, dropout=dropout)
