"""Attention U-Net."""

import torch
from monai.networks.nets import AttentionUnet

from common.errors import ConfigError
from common.model.networks.norms import without_batch_norm
from common.model_spec import ModelSpec


def build_attention_unet(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Oktay et al. (MIDL 2018, arXiv 1804.03999) by MONAI, with instance norm; gates on every skip connection.

    Raises:
        ConfigError: a width of 1, which leaves its gate without a channel.
    """
    if min(spec.widths[:-1]) < 2:
        raise ConfigError(f"network {spec.name} needs 2 channels a level at least, got {list(spec.widths)}")
    network = AttentionUnet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=spec.widths,
        strides=(2,) * (len(spec.widths) - 1),
        dropout=spec.dropout_share,
    )
    return without_batch_norm(network)
