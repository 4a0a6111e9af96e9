"""A 3-D ResNet-34 as the encoder of a U-Net, as the 2025 study of contrast-enhanced T1 at two hospitals has it."""

import torch
from monai.networks.nets.flexible_unet import UNetDecoder
from monai.networks.nets.resnet import ResNet

from common.model.networks.norms import INSTANCE, without_batch_norm
from common.model.networks.widths import need_stages
from common.model_spec import ModelSpec

_BLOCKS = [3, 4, 6, 3]  # residual blocks a stage: with stem and classifier, 34 layers


def build_resnet34_unet(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Shi et al. (Front Oncol 2025, 15:1657604), with untrained weights and instance norm.

    Raises:
        ConfigError: other than 4 channels.
    """
    return ResNet34UNet(need_stages(spec, len(_BLOCKS)), in_channels, out_channels, spec.dropout_share)


class ResNet34UNet(torch.nn.Module):
    """(B, C, X, Y, Z) to logits (B, classes, X, Y, Z); edges are multiples of 32.

    Encoder outputs at strides 2, 4, 8, 16 and 32; five decoder blocks of the widths 256, 128, 64, 32, 16 (the
    last encoder width halved again and again) enlarge by repetition, join the encoder's output and convolve
    twice, with dropout in front of each activation.
    """

    def __init__(self, widths: tuple[int, ...], in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        encoder = ResNet(
            block="basic",
            layers=_BLOCKS,
            block_inplanes=list(widths),
            n_input_channels=in_channels,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        # MONAI's own `norm` reaches the first layer only (1.6.1), hence the exchange afterwards.
        self.encoder = without_batch_norm(encoder)
        decoder_widths = tuple(max(widths[-1] // 2**block, 1) for block in range(1, 6))
        self.decoder = UNetDecoder(
            spatial_dims=3,
            encoder_channels=(in_channels, widths[0], *widths),
            decoder_channels=decoder_widths,
            act=("relu", {"inplace": True}),
            norm=INSTANCE,
            dropout=dropout,
            bias=False,
            upsample="nontrainable",
            pre_conv=None,
            interp_mode="nearest",
            align_corners=None,
            is_pad=False,
        )
        self.head = torch.nn.Conv3d(decoder_widths[-1], out_channels, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits at the image's size."""
        encoder = self.encoder
        x = encoder.act(encoder.bn1(encoder.conv1(image)))  # type: ignore[operator]
        features = [image, x]
        x = encoder.maxpool(x)  # type: ignore[operator]
        for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
            x = stage(x)  # type: ignore[operator]
            features.append(x)
        return self.head(self.decoder(features))  # type: ignore[no-any-return]
