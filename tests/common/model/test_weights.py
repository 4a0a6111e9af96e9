import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from common.errors import ModelRefused
from common.model.build import build_model, parameter_count
from common.model.weights import load_optimizer_tensors, load_weights, optimizer_tensors, weights_of
from common.plan import ModelSpec

SPECS = [
    ModelSpec(name="unet_small", channels=(4, 8)),
    ModelSpec(name="unet", channels=(4, 8, 8, 8), deep_supervision=True),
]


@pytest.mark.parametrize("spec", SPECS)
def test_weights_round_trip_and_hold_every_parameter_once(spec: ModelSpec) -> None:
    source, target = build_model(spec, 2, 2, seed=0), build_model(spec, 2, 2, seed=1)
    weights = weights_of(source)
    assert weights.vector.size == parameter_count(source)
    load_weights(target, weights)
    assert weights_of(target).sha256() == weights.sha256()
    image = torch.ones(1, 2, 16, 16, 16)
    assert torch.equal(source.eval()(image), target.eval()(image))


def test_weights_are_a_copy() -> None:
    model = build_model(SPECS[0], 2, 2, seed=0)
    weights = weights_of(model)
    weights.vector[:] = 0.0
    assert np.any(weights_of(model).vector)


def test_weights_keep_their_order_under_channels_last() -> None:
    model = build_model(SPECS[0], 2, 2, seed=0)
    before = weights_of(model).sha256()
    for parameter in model.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    assert weights_of(model).sha256() == before


def test_weights_of_another_network_are_refused_by_name_and_change_nothing() -> None:
    model = build_model(SPECS[0], 2, 2, seed=0)
    before = weights_of(model).sha256()
    with pytest.raises(ModelRefused, match=r"tensor 'model.*' should have shape \(4, 2, 3, 3, 3\)"):
        load_weights(model, weights_of(build_model(SPECS[0], 3, 2, seed=0)))
    assert weights_of(model).sha256() == before


def test_counters_in_a_network_are_refused() -> None:
    with pytest.raises(ModelRefused, match=r"num_batches_tracked' is torch.int64"):
        weights_of(torch.nn.BatchNorm3d(2))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_optimizer_goes_on_to_the_bit_from_safetensors(kind: str) -> None:
    def run(interrupted: bool) -> bytes:
        model = torch.nn.Linear(3, 2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.5)
        optimizer = _optimizer(kind, model)
        for step in range(4):
            if interrupted and step == 2:
                stored = save(optimizer_tensors(optimizer))
                optimizer = _optimizer(kind, model)
                load_optimizer_tensors(optimizer, load(stored))
            optimizer.zero_grad()
            model(torch.full((1, 3), 1.0 + step)).square().sum().backward()
            optimizer.step()
        return weights_of(model).vector.tobytes()

    assert run(interrupted=True) == run(interrupted=False)


def test_optimizer_state_of_another_network_is_refused() -> None:
    optimizer = _optimizer("sgd", torch.nn.Linear(3, 2))
    assert optimizer_tensors(optimizer) == {}
    with pytest.raises(ModelRefused, match=r"should have shape \(2, 3\), got \(2, 4\)"):
        load_optimizer_tensors(optimizer, {"0.momentum_buffer": np.zeros((2, 4), np.float32)})
    with pytest.raises(ModelRefused, match="belongs to none of the 2 parameters"):
        load_optimizer_tensors(optimizer, {"7.momentum_buffer": np.zeros((2, 3), np.float32)})


def _optimizer(kind: str, model: torch.nn.Module) -> torch.optim.Optimizer:
    if kind == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=0.1)
    return torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, nesterov=True)
