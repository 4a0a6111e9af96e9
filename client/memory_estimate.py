"""How much memory a training step of a plan takes, reckoned without taking it.

The network runs once on torch's meta device, which holds shapes and no values; autograd says which tensors it
would keep for the backward pass. Measured on a CPU with the default network, two patches of 64 cubed: 1.28 GB by
the process's own peak, 1.69 GB reckoned; of 96 cubed: 4.03 GB and 4.54 GB. With half precision the kept tensors
are counted at 0.6 of their size, most of them taking half and the loss its full precision; that share is not
measured.
"""

import math
from contextlib import suppress
from dataclasses import dataclass

import torch

from common.model.build import new_network, parameter_count
from common.model.losses import build_loss
from common.plan import Plan

_FLOAT32_BYTES = 4
_HALF_PRECISION_SHARE = 0.6
_BATCH_COPIES = 8  # as cut, moved, augmented, stacked
_WORKSPACE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class StepMemory:
    """What one training step needs, in bytes.

    Attributes:
        parameters: number of trained values.
        peak_bytes: weights, gradients, optimiser, what the backward pass needs, batch and workspace.
    """

    parameters: int
    peak_bytes: int

    @property
    def model_bytes(self) -> int:
        """One copy of the weights, float32."""
        return self.parameters * _FLOAT32_BYTES


def step_memory(plan: Plan, half_precision: bool) -> StepMemory:
    """Reckon one step on the plan's patch and batch; takes about a second and no memory to speak of.

    Raises:
        ConfigError: the plan's network cannot be built.
    """
    spec = plan.training
    model = new_network(plan)
    parameters = parameter_count(model)
    kept = _kept_bytes(model.to("meta").train(), plan)
    largest, total = max(kept, default=0), sum(kept)
    share = _HALF_PRECISION_SHARE if half_precision else 1.0
    copies = 2 + {"sgd": int(spec.momentum > 0.0), "adamw": 2}[spec.optimizer]
    batch = spec.batch_size * math.prod(spec.patch_size) * plan.in_channels * _FLOAT32_BYTES
    peak = copies * parameters * _FLOAT32_BYTES + int(share * (total + 2 * largest))
    return StepMemory(parameters, peak + _BATCH_COPIES * batch + _WORKSPACE_BYTES)


def _kept_bytes(model: torch.nn.Module, plan: Plan) -> list[int]:
    """Sizes of the storages that autograd keeps, parameters left out; a storage kept twice counts once."""
    spec = plan.training
    sizes: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # a storage's number is used again once it is gone

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        with suppress(NotImplementedError):
            storage = tensor.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    image = torch.empty((spec.batch_size, plan.in_channels, *spec.patch_size), device="meta")
    label = torch.zeros((spec.batch_size, *spec.patch_size), dtype=torch.int64, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        build_loss(spec, plan.tumour_classes)(model(image), label)
    return [size for number, size in sizes.items() if number not in own]
