"""The gradient steps of one site's round."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from client.data.augmentation import apply_change
from client.data.prefetch import batches
from client.data.sampling import Batch, Sampler
from common.errors import ConfigError, FailureCode, TrainingFailed
from common.model.losses import Loss, build_loss
from common.plan import TrainingSpec
from common.weights import Weights


@dataclass(frozen=True, slots=True)
class FitLog:
    """What a fit did.

    Attributes:
        steps: optimiser steps made.
        loss: mean over the steps, without the proximal term, so that curves with and without it compare.
        losses: of each step.
        seconds: wall time of the whole fit; `data_wait_seconds` of them the network stood still for data.
    """

    steps: int
    loss: float
    losses: tuple[float, ...]
    seconds: float
    data_wait_seconds: float


def use_threads(threads: int) -> None:
    """Set torch's threads for this process; call it once, where a process begins."""
    torch.set_num_threads(threads)


def build_optimizer(model: torch.nn.Module, spec: TrainingSpec) -> torch.optim.Optimizer:
    """SGD, with Nesterov momentum or without, or AdamW; over all parameters, norms and biases included."""
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay, betas=(0.9, 0.999)
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=spec.learning_rate,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.weight_decay,
    )


def torch_seed(sequence: np.random.SeedSequence) -> int:
    """A seed for `fit` from that of a round: below 2^63, and the same on every machine."""
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def learning_rate(spec: TrainingSpec, step: int, total_steps: int) -> float:
    """Rate of a step, counted from 0: base * (1 - step / total)^0.9, or the base throughout.

    Base 0.01: step 500 of 1000 has 0.01 * 0.5^0.9 = 0.005359.
    """
    if spec.schedule == "constant":
        return spec.learning_rate
    return float(spec.learning_rate * (1.0 - step / total_steps) ** 0.9)


def fit(
    model: torch.nn.Module,
    sampler: Sampler,
    spec: TrainingSpec,
    *,
    first_step: int,
    total_steps: int,
    device: torch.device,
    anchor: Weights | None = None,
    prox_mu: float = 0.0,
    optimizer: torch.optim.Optimizer | None = None,
    dropout_seed: int = 0,
    tumour: frozenset[int] = frozenset(),
) -> FitLog:
    """Make `spec.steps` optimiser steps; on the CPU the same inputs give the same bits.

    The loss is the sum over samples of share * loss, plus prox_mu / 2 * ||w - anchor||^2 when prox_mu > 0: the
    site's half of FedProx (Li et al., 2020, arXiv 1812.06127), whose aggregation is plain averaging.

    Args:
        model: trained in place, moved to the device.
        sampler: gives the batches.
        spec: what the plan says of training.
        first_step: steps made before this fit, so that a round goes on where the schedule stood.
        total_steps: the schedule's length.
        device: where the network runs.
        anchor: weights that the proximal term pulls towards.
        prox_mu: strength of that pull.
        optimizer: one that goes on; else a fresh one.
        dropout_seed: of the network's dropout, where it has any; torch's own random state is left as it was.
        tumour: the plan's classes that count as tumour, () for all: what a loss by lesion takes for one.

    Raises:
        TrainingFailed: NOT_FINITE_LOSS, or OUT_OF_MEMORY.
        ConfigError: mixed precision on a CPU, where torch is not repeatable.
        ValueError: more steps than the schedule has, or a proximal term without an anchor.
    """
    if first_step < 0 or first_step + spec.steps > total_steps:
        raise ValueError(f"steps {first_step} to {first_step + spec.steps} exceed the schedule of {total_steps}")
    begun = time.perf_counter()
    waited = 0.0
    losses: list[float] = []
    with _memory_errors_typed(spec), _dropout_seeded(device, dropout_seed):
        stepper = _prepare(model, spec, device, anchor, prox_mu, optimizer, tumour)
        with batches(sampler, spec.steps, ahead=device.type == "cuda") as stream:
            for step in range(first_step, first_step + spec.steps):
                asked = time.perf_counter()
                batch = next(stream)
                waited += time.perf_counter() - asked
                losses.append(stepper.step(batch, step, learning_rate(spec, step, total_steps)))
    seconds = time.perf_counter() - begun
    return FitLog(len(losses), float(np.mean(losses)), tuple(losses), seconds, waited)


@dataclass(frozen=True, slots=True)
class _Pull:
    """The gradient of the proximal term, mu * (w - anchor), added as such: autograd would copy every weight."""

    mu: float
    pairs: tuple[tuple[torch.nn.Parameter, torch.Tensor], ...]

    def add(self) -> None:
        with torch.no_grad():
            for parameter, anchor in self.pairs:
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - anchor, alpha=self.mu)


@dataclass(frozen=True, slots=True)
class _Stepper:
    """All that one step needs; nothing in it changes but the network and its optimiser."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss
    device: torch.device
    half_precision: bool
    channels_last: bool
    clip_norm: float | None
    pull: _Pull | None

    def step(self, batch: Batch, step: int, rate: float) -> float:
        """Make one step; gives its loss or raises TrainingFailed."""
        image, label, shares = self._on_device(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            logits = self.model(image)
        loss = (self.loss(logits, label, batch.meanings) * shares).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.pull is not None:
            self.pull.add()
        size = None
        if self.clip_norm is not None:
            size = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        # The only place where a GPU is waited for: reading the loss earlier would stall it before the update.
        value, norm = loss.item(), 0.0 if size is None else size.item()
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise TrainingFailed(
                FailureCode.NOT_FINITE_LOSS,
                f"step {step}: loss {value:g}, gradient norm {norm:g} at learning rate {rate:g}; lower "
                "learning_rate, set gradient_clip_norm, or turn mixed_precision off",
            )
        return value

    def _on_device(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        images = batch.image.to(self.device, non_blocking=True)
        labels = batch.label.to(self.device, non_blocking=True)
        changed = [
            apply_change(image, label, change)
            for image, label, change in zip(images, labels, batch.changes, strict=True)
        ]
        image = torch.stack([image for image, _ in changed])
        if self.channels_last:
            image = image.contiguous(memory_format=torch.channels_last_3d)
        return image, torch.stack([label for _, label in changed]), batch.shares.to(self.device)

    def _precision(self) -> AbstractContextManager[object]:
        # bfloat16 has float32's range: no loss scaling, hence no scaler whose state a resume would need.
        return torch.autocast(self.device.type, torch.bfloat16) if self.half_precision else nullcontext()


def _prepare(
    model: torch.nn.Module,
    spec: TrainingSpec,
    device: torch.device,
    anchor: Weights | None,
    prox_mu: float,
    optimizer: torch.optim.Optimizer | None,
    tumour: frozenset[int],
) -> _Stepper:
    model.to(device).train()
    cuda = device.type == "cuda"
    channels_last = _switch(spec.channels_last, cuda)
    half_precision = _switch(spec.mixed_precision, cuda and torch.cuda.is_bf16_supported(False))
    if half_precision and not cuda:
        # Measured with torch 2.13 and `unet`, 16 channels and more: the same step gives other gradients each time,
        # at times of 10^35, where the deepest convolutions see few voxels.
        raise ConfigError("mixed_precision cannot be 'on' on a CPU: leave it at 'auto', or take a GPU")
    if channels_last:
        model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return _Stepper(
        model=model,
        optimizer=build_optimizer(model, spec) if optimizer is None else optimizer,
        loss=build_loss(spec, tumour),
        device=device,
        half_precision=half_precision,
        channels_last=channels_last,
        clip_norm=spec.gradient_clip_norm,
        pull=_pull(model, anchor, prox_mu, device) if prox_mu > 0.0 else None,
    )


def _pull(model: torch.nn.Module, anchor: Weights | None, mu: float, device: torch.device) -> _Pull:
    if anchor is None:
        raise ValueError(f"prox_mu = {mu:g} needs an anchor to pull towards")
    tensors = anchor.tensors()
    pairs = tuple(
        (parameter, torch.from_numpy(tensors[name].copy()).to(device))
        for name, parameter in model.named_parameters()
    )
    return _Pull(mu, pairs)


def _switch(setting: Literal["auto", "on", "off"], default: bool) -> bool:
    return default if setting == "auto" else setting == "on"


@contextmanager
def _dropout_seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout draws from torch's global generators, whose state depends on what this process did before."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def _memory_errors_typed(spec: TrainingSpec) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # torch has a class for a full GPU (a RuntimeError), but only a sentence for a full machine.
        full = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
        if not full:
            raise
        patch = " x ".join(str(edge) for edge in spec.patch_size)
        raise TrainingFailed(
            FailureCode.OUT_OF_MEMORY,
            f"{spec.batch_size} patches of {patch} do not fit; take a smaller batch_size or patch_size, or fewer "
            "channels",
        ) from error
