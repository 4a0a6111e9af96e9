"""Networks by name, with seeded weights."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch

from common.model.networks.attention import build_attention_unet
from common.model.networks.baselines import build_cnn, build_fcn
from common.model.networks.deepmedic import build_deepmedic
from common.model.networks.resenc import build_unet_resenc
from common.model.networks.resnet34 import build_resnet34_unet
from common.model.networks.segresnet import build_segresnet
from common.model.networks.unet import build_unet, build_unet_small
from common.model.networks.vnet import build_vnet
from common.model.patches import check_patch_size
from common.model_spec import ModelSpec, NetworkName
from common.plan import Terms

__all__ = ["build_model", "check_patch_size", "new_network", "parameter_count"]

Builder: TypeAlias = Callable[[ModelSpec, int, int], torch.nn.Module]

_BUILDERS: Mapping[NetworkName, Builder] = {
    "unet": build_unet,
    "unet_small": build_unet_small,
    "unet_resenc": build_unet_resenc,
    "resnet34_unet": build_resnet34_unet,
    "attention_unet": build_attention_unet,
    "vnet": build_vnet,
    "segresnet": build_segresnet,
    "deepmedic": build_deepmedic,
    "cnn": build_cnn,
    "fcn": build_fcn,
}


def build_model(spec: ModelSpec, in_channels: int, out_channels: int, seed: int) -> torch.nn.Module:
    """Build a network whose initial weights depend on the seed alone.

    The global random state is left as it was. Input (B, in_channels, X, Y, Z), output logits
    (B, out_channels, X, Y, Z); in training mode with deep supervision (B, levels, out_channels, X, Y, Z), every
    level at full size and the finest first. Every tensor is float32, so that sites' networks can be averaged.

    Raises:
        ConfigError: channels that the network cannot have.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _BUILDERS[spec.name](spec, in_channels, out_channels)


def new_network(terms: Terms) -> torch.nn.Module:
    """The untrained network of a plan or an experiment; raises ConfigError as `build_model`."""
    return build_model(terms.model, terms.in_channels, terms.out_channels, terms.seed)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of trained values, each counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
