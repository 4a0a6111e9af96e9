import pytest
import torch
from torch.nn import BatchNorm3d, InstanceNorm3d

from common.errors import ConfigError
from common.model.build import build_model
from common.model.networks.norms import without_batch_norm
from common.model.networks.resenc import ResidualBlock
from common.plan import ModelSpec
from tests.common.model.small_networks import NAMES, SMALL


def test_instance_norm_takes_the_place_of_batch_norm_and_draws_nothing() -> None:
    model = torch.nn.Sequential(torch.nn.Conv3d(2, 3, 1), torch.nn.Sequential(BatchNorm3d(3, eps=1e-3)))
    names = [key for key, _ in model.named_parameters()]
    state = torch.get_rng_state()
    without_batch_norm(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert [key for key, _ in model.named_parameters()] == names
    inner = model[1]
    assert isinstance(inner, torch.nn.Sequential)
    assert isinstance(inner[0], InstanceNorm3d)
    assert inner[0].eps == 1e-3
    assert not [key for key, _ in model.named_buffers()]


@pytest.mark.parametrize("name", NAMES)
def test_no_network_has_a_batch_norm_or_remembers_statistics(name: str) -> None:
    model = build_model(SMALL[name], 2, 2, seed=0)  # type: ignore[index]
    assert not [module for module in model.modules() if isinstance(module, BatchNorm3d)]
    assert not list(model.buffers())


def test_a_residual_block_is_its_shortcut_when_its_convolutions_are_silent() -> None:
    block = ResidualBlock(2, 2, (3, 3, 3), (1, 2, 2))
    for parameter in block.second.parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.randn(1, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    means = torch.nn.functional.avg_pool3d(image, (1, 2, 2))
    torch.testing.assert_close(block(image), torch.nn.functional.leaky_relu(means, 0.01))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ModelSpec(name="resnet34_unet", channels=(64, 128, 256)), "has 4 stages"),
        (ModelSpec(name="segresnet", channels=(8, 16, 32)), "has 4 stages"),
        (
            ModelSpec(name="segresnet", channels=(4, 8, 16, 32)),
            "multiples of 8 .group norm .*, got 4",
        ),
        (ModelSpec(name="attention_unet", channels=(1, 4)), "2 channels a level at least"),
        (ModelSpec(name="unet_resenc", channels=(8, 16)), "unet_resenc needs 3 channels at least"),
        (ModelSpec(name="unet_resenc", channels=(8, 16, 16), deep_supervision=True), "4 channels at least"),
    ],
)
def test_widths_that_a_network_cannot_have_are_refused(spec: ModelSpec, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_model(spec, 2, 2, seed=0)


def test_the_residual_encoder_begins_as_nnunet_does() -> None:
    model = build_model(ModelSpec(name="unet_resenc", channels=(16, 32, 32)), 2, 2, seed=0)
    biases = [value for key, value in model.named_parameters() if key.endswith("conv.bias")]
    assert biases and not any(value.any() for value in biases)
    weight = dict(model.named_parameters())["encoder.1.1.first.conv.weight"]  # 32 x 27 inputs
    assert weight.std().item() == pytest.approx((2 / (1 + 0.01**2) / (32 * 27)) ** 0.5, rel=0.02)
    last_norms = [value for key, value in model.named_parameters() if ".second.adn.N." in key]
    assert len(last_norms) == 2 * (1 + 3 + 4) and not any(value.any() for value in last_norms)
    image = torch.randn(1, 16, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        model.get_submodule("encoder.0.0")(image), torch.nn.functional.leaky_relu(image, 0.01)
    )
