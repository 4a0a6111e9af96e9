"""What every network must do, whatever it is made of."""

from itertools import permutations
from typing import get_args

import pytest
import torch

from common.errors import ModelRefused
from common.model.build import build_model
from common.model.weights import load_weights, weights_of
from common.model_spec import NetworkName
from common.plan import ModelSpec
from tests.common.model.small_networks import EDGE, NAMES, SMALL


def test_every_name_of_a_plan_is_tested_here() -> None:
    assert set(NAMES) == set(get_args(NetworkName))


@pytest.mark.parametrize("name", NAMES)
def test_a_network_answers_at_the_size_of_its_input_and_learns_everywhere(name: NetworkName) -> None:
    edge = EDGE[name]
    model = build_model(SMALL[name], 3, 2, seed=0)  # three sequences: not a divisor of most widths
    image = torch.randn(1, 3, edge, edge, edge, generator=torch.Generator().manual_seed(1))
    logits = model(image)
    assert logits.shape == (1, 2, edge, edge, edge)
    logits.square().mean().backward()
    assert [key for key, value in model.named_parameters() if value.grad is None] == []
    assert torch.isfinite(model.eval()(image)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides_the_weights_which_are_float32(name: NetworkName) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = weights_of(build_model(SMALL[name], 2, 2, seed=3))  # refuses anything but float32
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert weights_of(build_model(SMALL[name], 2, 2, seed=3)).sha256() == first.sha256()
    assert weights_of(build_model(SMALL[name], 2, 2, seed=4)).sha256() != first.sha256()
    parameters = {key for key, _ in build_model(SMALL[name], 2, 2, seed=3).named_parameters()}
    assert {key for key, _ in first.layout} == parameters  # and nothing that is not trained, such as a mean


def test_no_network_loads_the_weights_of_another() -> None:
    models = {name: build_model(spec, 2, 2, seed=0) for name, spec in SMALL.items()}
    weights = {name: weights_of(model) for name, model in models.items()}
    for name, other in permutations(NAMES, 2):
        with pytest.raises(ModelRefused, match="weights do not fit the network: ") as refusal:
            load_weights(models[name], weights[other])
        ours, theirs = weights[name].layout[0], weights[other].layout[0]
        assert f"'{ours[0]}'" in str(refusal.value)  # all differ in the first tensor already
        assert f"'{theirs[0]}'" in str(refusal.value) or str(theirs[1]) in str(refusal.value)
    assert {name: weights_of(model).sha256() for name, model in models.items()} == {
        name: value.sha256() for name, value in weights.items()
    }


@pytest.mark.parametrize("name", ["unet", "unet_resenc"])
def test_a_plan_of_other_strides_or_kernels_or_heads_is_another_network(name: NetworkName) -> None:
    plain = SMALL[name]
    still = ((1, 1, 1), (2, 2, 2))
    others = [
        plain.model_copy(update={"strides": (*still, (1, 2, 2))}),
        plain.model_copy(update={"kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3))}),
        ModelSpec(name=name, channels=(4, 8, 8, 8), deep_supervision=True),
    ]
    weights = weights_of(build_model(plain, 2, 2, seed=0))
    for spec in others:
        with pytest.raises(ModelRefused, match=r"should have shape|expected tensor|expected .* tensors"):
            load_weights(build_model(spec, 2, 2, seed=0), weights)


@pytest.mark.parametrize("name", ["unet", "unet_resenc"])
def test_planned_strides_and_kernels_keep_the_size_of_the_input(name: NetworkName) -> None:
    spec = ModelSpec(
        name=name,
        channels=(4, 4, 8, 8),
        kernel_sizes=((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2), (1, 2, 2)),
        deep_supervision=True,
    )
    model = build_model(spec, 2, 3, seed=0)
    assert model(torch.zeros(1, 2, 4, 16, 8)).shape == (1, 2, 3, 4, 16, 8)
    assert model.eval()(torch.zeros(1, 2, 4, 16, 8)).shape == (1, 3, 4, 16, 8)


@pytest.mark.parametrize(
    ("name", "upwards"), [("unet", "upsamples.{}.conv_block.conv2"), ("unet_resenc", "decoder.{}")]
)
def test_a_stage_has_its_own_kernel_on_the_way_up(name: NetworkName, upwards: str) -> None:
    kernels = ((1, 3, 3), (3, 3, 1), (3, 1, 3), (3, 3, 3))  # nnU-Net's decoder takes those of the first three
    model = build_model(ModelSpec(name=name, channels=(4, 4, 4, 8), kernel_sizes=kernels), 2, 3, seed=0)
    found = [tuple(model.get_parameter(f"{upwards.format(stage)}.conv.weight").shape[2:]) for stage in range(3)]
    assert found == [kernels[2], kernels[1], kernels[0]]


@pytest.mark.parametrize("name", ["resnet34_unet", "vnet", "segresnet", "deepmedic", "cnn", "fcn"])
def test_dropout_draws_in_training_only(name: NetworkName) -> None:
    model = build_model(SMALL[name], 2, 2, seed=0)
    image = torch.randn(1, 2, *(EDGE[name],) * 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(model(image), model(image))
        model.eval()
        assert torch.equal(model(image), model(image))
        still = build_model(SMALL[name].model_copy(update={"dropout": 0.0}), 2, 2, seed=0)
        assert torch.equal(still(image), still(image))
