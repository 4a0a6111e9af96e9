"""What the local loop costs over a plain MONAI loop: same network, same patches, same steps, one process."""

import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.transforms import SpatialCrop

from client.data.case import Grid, Metadata, PreparedCase
from client.data.sampling import PatchSampler, draw_places
from client.training import build_optimizer, fit, learning_rate
from common.model.build import build_model, parameter_count
from common.plan import AugmentationSpec, ModelSpec, TrainingSpec

_BLOCK = 5  # steps between the two loops' turns: long enough to time, short enough to share the machine's moods
_SEED = 0


@dataclass(frozen=True, slots=True)
class BenchTrain:
    """The outcome.

    Attributes:
        device: "cpu" or "cuda".
        network: what was trained, in words.
        steps: timed steps of either loop.
        threads: torch's threads.
        ours_ms, plain_ms: median milliseconds a step, over blocks of 5 steps that take turns.
        ratio: plain over ours, median over neighbouring blocks, since neighbours share what else the machine
            does; 1 means that the loop costs nothing, and 0.95 is asked for.
        loss_difference: largest difference between the two loops' losses: that they did the same work.
        wait_share: share of time that the network stood still for data, with the default augmentation.
    """

    device: str
    network: str
    steps: int
    threads: int
    ours_ms: float
    plain_ms: float
    ratio: float
    loss_difference: float
    wait_share: float


def run(steps: int, device: str) -> BenchTrain:
    """Time both loops, `steps` steps each (rounded up to blocks of 5), after one block each to warm up.

    Neither augments: MONAI's random transforms are not ours, and their difference is not the loop's. Both cut
    the same patches out of the same arrays in memory, clip gradients and follow the poly schedule.
    """
    blocks = 1 + -(-steps // _BLOCK)
    setup = _set_up(device, blocks * _BLOCK)
    ours, plain = _Ours(setup), _Plain(setup)
    ours_s: list[float] = []
    plain_s: list[float] = []
    for block in range(blocks):
        turns = ((ours, ours_s), (plain, plain_s))
        for loop, seconds in turns if block % 2 else turns[::-1]:
            seconds.append(_timed(loop, setup.device))
    difference = max(abs(a - b) for a, b in zip(ours.losses, plain.losses, strict=True))
    ours_ms, plain_ms = (1000 * statistics.median(values[1:]) / _BLOCK for values in (ours_s, plain_s))
    ratios = [plain_block / our_block for our_block, plain_block in zip(ours_s, plain_s, strict=True)]
    return BenchTrain(
        device=device,
        network=_in_words(setup),
        steps=setup.steps - _BLOCK,
        threads=torch.get_num_threads(),
        ours_ms=ours_ms,
        plain_ms=plain_ms,
        ratio=statistics.median(ratios[1:]),
        loss_difference=difference,
        wait_share=_wait_share(setup),
    )


def render(result: BenchTrain) -> str:
    """The outcome as lines for a terminal."""
    return "\n".join(
        (
            f"{result.network}, on {result.device}, {result.threads} threads, {result.steps} steps each",
            f"fedmets      {result.ours_ms:8.1f} ms a step",
            f"plain MONAI  {result.plain_ms:8.1f} ms a step",
            f"ratio        {result.ratio:8.3f} (plain / fedmets; at least 0.95 wanted)",
            f"losses differ by at most {result.loss_difference:.1e}: same patches, same steps, no augmentation",
            f"with augmentation the network waits for data {100 * result.wait_share:.1f} % of the time"
            + (" (at most 10 % wanted)" if result.device == "cuda" else ""),
        )
    )


@dataclass(frozen=True, slots=True)
class _Setup:
    """What both loops are given: network, training, cases, where, and for how many steps."""

    model: ModelSpec
    spec: TrainingSpec
    cases: tuple[PreparedCase, ...]
    device: torch.device
    steps: int

    def new_model(self) -> torch.nn.Module:
        """The untrained network of two channels and two classes: the same weights every time."""
        return build_model(self.model, 2, 2, _SEED).to(self.device)


class _Ours:
    """`client.training.fit`, a block at a time, its optimiser going on."""

    def __init__(self, setup: _Setup) -> None:
        self.losses: list[float] = []
        self._setup, self._model = setup, setup.new_model()
        self._optimizer = build_optimizer(self._model, setup.spec)
        self._sampler = PatchSampler(setup.cases, setup.spec, np.random.default_rng(_SEED))

    def block(self) -> None:
        log = fit(
            self._model,
            self._sampler,
            self._setup.spec,
            first_step=len(self.losses),
            total_steps=self._setup.steps,
            device=self._setup.device,
            optimizer=self._optimizer,
        )
        self.losses.extend(log.losses)


class _Plain:
    """The loop that one would write with MONAI and torch alone."""

    def __init__(self, setup: _Setup) -> None:
        self.losses: list[float] = []
        spec = setup.spec
        self._spec, self._device, self._cases = spec, setup.device, setup.cases
        self._model = setup.new_model().train()
        self._optimizer = torch.optim.SGD(
            self._model.parameters(),
            lr=spec.learning_rate,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            weight_decay=spec.weight_decay,
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: learning_rate(spec, step, setup.steps) / spec.learning_rate
        )
        self._loss = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1e-5, smooth_dr=1e-5
        )
        self._rng, _ = np.random.default_rng(_SEED).spawn(2)  # as PatchSampler does: the same places

    def block(self) -> None:
        for _ in range(_BLOCK):
            image, label = (tensor.to(self._device) for tensor in self._batch())
            self._optimizer.zero_grad()
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
                logits = self._model(image)
            loss = self._loss(logits.float(), label)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._spec.gradient_clip_norm or 12.0)
            self._optimizer.step()
            self._schedule.step()
            self.losses.append(loss.item())

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = [], []
        for place in draw_places(self._cases, self._spec, self._rng):
            crop = SpatialCrop(roi_start=place.start, roi_end=np.add(place.start, self._spec.patch_size))
            assert place.case.label is not None
            images.append(crop(place.case.image).as_tensor())
            labels.append(crop(place.case.label[None]).as_tensor())
        return torch.stack(images), torch.stack(labels).long()


def _set_up(device: str, steps: int) -> _Setup:
    """The network for CPUs on a CPU, nnU-Net's on a GPU; the plan's own defaults else."""
    still = AugmentationSpec(flip=0.0, rotate=0.0, scale=0.0, gamma=0.0, noise=0.0, brightness=0.0)
    if device == "cpu":
        model, patch_size = ModelSpec(name="unet_small", channels=(8, 16, 32, 64)), (40, 40, 40)
    else:
        model, patch_size = ModelSpec(), (128, 128, 128)
    spec = TrainingSpec(steps=_BLOCK, patch_size=patch_size, augmentation=still)
    return _Setup(model, spec, _cases(patch_size), torch.device(device), steps)


def _cases(patch_size: tuple[int, int, int]) -> tuple[PreparedCase, ...]:
    """Four noise volumes, half as long again as the patch, each with one bright cube."""
    rng = np.random.default_rng(_SEED)
    x, y, z = (edge + edge // 2 for edge in patch_size)
    grid = Grid((x, y, z), np.eye(4))
    cases = []
    for number in range(4):
        label = np.zeros((x, y, z), np.uint8)
        corner = rng.integers(4, min(x, y, z) - 12, size=3)
        label[tuple(slice(begin, begin + 8) for begin in corner)] = 1
        image = rng.standard_normal((2, x, y, z), dtype=np.float32)
        image[0] += 2.0 * label
        voxels = np.argwhere(label).astype(np.int32)
        name, mask = f"bench-{number}", np.ones((x, y, z), np.uint8)
        cases.append(PreparedCase(name, name, Metadata(), image, label, mask, grid, grid, None, voxels))
    return tuple(cases)


def _timed(loop: _Ours | _Plain, device: torch.device) -> float:
    _settle(device)
    begun = time.perf_counter()
    loop.block()
    _settle(device)
    return time.perf_counter() - begun


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _wait_share(setup: _Setup) -> float:
    """One fit as in earnest: augmentation on, long enough for the queue's first fill not to count."""
    spec = setup.spec.model_copy(update={"steps": setup.steps, "augmentation": AugmentationSpec()})
    sampler = PatchSampler(setup.cases, spec, np.random.default_rng(_SEED))
    log = fit(setup.new_model(), sampler, spec, first_step=0, total_steps=setup.steps, device=setup.device)
    return log.data_wait_seconds / log.seconds


def _in_words(setup: _Setup) -> str:
    model, spec = setup.model, setup.spec
    parameters = parameter_count(setup.new_model())
    patch = " x ".join(str(edge) for edge in spec.patch_size)
    return f"{model.name} {list(model.widths)} ({parameters} parameters), {spec.batch_size} x {patch}"
