"""SegResNet."""

import torch
from monai.networks.nets import SegResNet

from common.model.networks.widths import need_doubling, need_multiple, need_stages
from common.model_spec import ModelSpec

_GROUPS = 8
_BLOCKS_DOWN = (1, 2, 2, 4)
_BLOCKS_UP = (1, 1, 1)


def build_segresnet(spec: ModelSpec, in_channels: int, out_channels: int) -> torch.nn.Module:
    """Myronenko (BrainLes 2018, arXiv 1810.11654) by MONAI, without the auto-encoder branch; group norm.

    Raises:
        ConfigError: other than 4 channels, channels that do not double or that 8 groups cannot share.
    """
    need_stages(spec, len(_BLOCKS_DOWN))
    need_doubling(spec)
    need_multiple(spec, _GROUPS, "group norm makes 8 groups")
    return SegResNet(  # type: ignore[no-any-return]
        spatial_dims=3,
        init_filters=spec.widths[0],
        in_channels=in_channels,
        out_channels=out_channels,
        dropout_prob=spec.dropout_share,
        norm=("GROUP", {"num_groups": _GROUPS}),
        blocks_down=_BLOCKS_DOWN,
        blocks_up=_BLOCKS_UP,
    )
