"""Between a torch network (or its optimiser) and named numpy arrays: what travels and what is stored."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch

from common.errors import ModelRefused
from common.model.build import new_network
from common.plan import Terms
from common.weights import Weights, first_difference, pack


def weights_of(model: torch.nn.Module) -> Weights:
    """Copy a network's weights to the CPU, in state-dict order, each tensor once.

    A module that is reachable by two names (DynUNet's blocks are: 144 names for 73 tensors) counts under the
    first of them; else its weights would travel twice.

    Raises:
        ModelRefused: the network holds something other than float32, which a mean over sites would spoil.
    """
    return pack({name: tensor.detach().cpu().numpy() for name, tensor in _tensors(model)})


def load_weights(model: torch.nn.Module, weights: Weights) -> None:
    """Copy weights into a network, wherever it lives.

    Raises:
        ModelRefused: names the first tensor that differs; the network is then untouched.
    """
    targets = list(_tensors(model))
    layout = tuple((name, tuple(tensor.shape)) for name, tensor in targets)
    difference = first_difference(layout, weights.layout)
    if difference is not None:
        raise ModelRefused(f"weights do not fit the network: {difference}; build it from the weights' own plan")
    sources = weights.tensors()
    with torch.no_grad():
        for name, tensor in targets:
            tensor.copy_(_from_numpy(sources[name]))


def trained_network(terms: Terms, weights: Weights) -> torch.nn.Module:
    """The network of a plan with these weights, on the CPU; raises ModelRefused as `load_weights`."""
    model = new_network(terms)
    load_weights(model, weights)
    return model


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, npt.NDArray[np.float32]]:
    """An optimiser's state by "parameter.name", such as "12.momentum_buffer"; empty before the first step.

    Learning rates and the like are not in it: they follow from the plan and the step.

    Raises:
        ModelRefused: the state holds something other than float32.
    """
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if value is None:
                continue
            if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
                raise ModelRefused(f"optimiser state '{index}.{name}' is {_kind(value)}, only float32 is stored")
            tensors[f"{index}.{name}"] = value.detach().cpu().numpy().copy()
    return tensors


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    """Put an optimiser back where `optimizer_tensors` found it, to the bit.

    Raises:
        ModelRefused: a tensor belongs to no parameter, or has another shape than its parameter.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in tensors.items():
        index, _, name = key.partition(".")
        if not (index.isdecimal() and int(index) < len(parameters) and name):
            raise ModelRefused(f"optimiser state '{key}' belongs to none of the {len(parameters)} parameters")
        expected = tuple(parameters[int(index)].shape)
        if array.shape not in ((), expected):
            raise ModelRefused(f"optimiser state '{key}' should have shape {expected}, got {array.shape}")
        state.setdefault(int(index), {})[name] = _from_numpy(array)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if tensor.dtype != torch.float32:
            raise ModelRefused(f"tensor '{name}' is {_kind(tensor)}; only float32 can be averaged over sites")
        yield name, tensor


def _from_numpy(array: npt.NDArray[np.float32]) -> torch.Tensor:
    # A copy: torch warns of read-only arrays, and would otherwise share memory with the caller's.
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, torch.Tensor) else type(value).__name__
