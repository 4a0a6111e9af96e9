"""The counted network against the networks that are built, layer by layer, with shapes alone."""

import pytest
import torch
from torch import nn

from common.model.build import build_model, parameter_count
from common.model_spec import ModelSpec
from common.planning.memory import network_size
from common.planning.planners import PLANNERS, PlannedNetwork
from common.planning.topology import Topology, plan_topology

CUBE = plan_topology((1.0, 1.0, 1.0), (128, 128, 128))
UCSF_BMSR = plan_topology((1.5, 0.8594, 0.8594), (80, 192, 160))
SLICES = plan_topology((3.6, 0.62, 0.62), (20, 320, 256))


def _built(network: PlannedNetwork, topology: Topology) -> nn.Module:
    spec = ModelSpec.model_validate(
        {
            "name": network,
            "channels": topology.channels,
            "kernel_sizes": topology.kernel_sizes,
            "strides": topology.strides,
        }
    )
    with torch.device("meta"):  # shapes without values: nothing is drawn
        return build_model(spec, 4, 4, seed=0)


def _traced(model: nn.Module, patch: tuple[int, int, int]) -> tuple[int, int]:
    """Values put out by convolutions and multiply-adds, heard from the modules as shapes pass through."""
    features = multiply_adds = 0

    def hear(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal features, multiply_adds
        assert isinstance(module, (nn.Conv3d, nn.ConvTranspose3d))
        features += output.numel()
        sites = output if isinstance(module, nn.Conv3d) else inputs[0]
        multiply_adds += sites[0, 0].numel() * module.weight.numel()

    for module in model.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            module.register_forward_hook(hear)
    with torch.no_grad():
        model(torch.empty(1, 4, *patch, device="meta"))
    return features, multiply_adds


@pytest.mark.parametrize("topology", [CUBE, UCSF_BMSR, SLICES])
def test_plain_unet_is_counted_as_it_is_built(topology: Topology) -> None:
    size, model = network_size("unet", topology, 4, 4), _built("unet", topology)
    assert size.parameters == parameter_count(model)
    assert (size.features, size.multiply_adds) == _traced(model, topology.patch_size)


def test_residual_unet_is_counted_as_it_is_built_but_for_biases_and_pooling() -> None:
    size, model = network_size("unet_resenc", UCSF_BMSR, 4, 4), _built("unet_resenc", UCSF_BMSR)
    biases = sum(value.numel() for name, value in model.named_parameters() if name.endswith("conv.bias"))
    assert abs(parameter_count(model) - size.parameters) <= biases + 5 * 320
    features, multiply_adds = _traced(model, UCSF_BMSR.patch_size)
    assert size.multiply_adds == multiply_adds
    assert size.features == features + 320 * 5 * 6 * 5  # the last stage's shortcut pools and does not convolve


def test_flat_kernels_weigh_a_third() -> None:
    flat, full = network_size("unet", SLICES, 1, 2), network_size("unet", _with_cubes(SLICES), 1, 2)
    assert flat.features == full.features
    saved = 18 * (1 * 32 + 32 * 32 + 64 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 128 * 64 + 64 * 64)
    assert full.parameters - flat.parameters == saved


def test_published_figures_at_128_cubed() -> None:
    assert network_size("unet", CUBE, 4, 4).parameters == 31_192_068
    assert round(network_size("unet", CUBE, 1, 2).multiply_adds / 1e9) == 477


def test_budget_grows_with_memory() -> None:
    assert PLANNERS["unet"].feature_budget(8.0) == 560e6
    assert PLANNERS["unet"].feature_budget(12.0) == 840e6
    assert PLANNERS["unet_resenc_m"].feature_budget(24.0) == 2040e6
    assert PLANNERS["unet_resenc_l"].feature_budget(24.0) == 2100e6
    assert PLANNERS["unet_resenc_xl"].feature_budget(20.0) == 1800e6


def test_values_at_128_cubed_are_those_that_nnunet_counts() -> None:
    assert network_size("unet", CUBE, 4, 4).features == 454_893_568
    coarse_logits = 3 * (64**3 + 32**3 + 16**3 + 8**3)  # nnU-Net's note beside its reference counts these too
    assert network_size("unet_resenc", CUBE, 1, 3).features + coarse_logits == 558_319_104


def _with_cubes(topology: Topology) -> Topology:
    return Topology(topology.patch_size, topology.strides, ((3, 3, 3),) * len(topology.strides))
