"""Training steps on made-up patches, to see whether a plan can be trained on this machine, and how fast."""

import numpy as np
import torch

from client.data.case import Grid, Metadata, PreparedCase
from client.data.sampling import PatchSampler
from client.training import build_optimizer, fit
from common.model.build import new_network
from common.plan import Plan, TrainingSpec

_MANY_STEPS = 10**9


class TrialSteps:
    """A plan's network, its optimiser and patches of noise, ready to be trained on."""

    def __init__(self, plan: Plan, spec: TrainingSpec, device: torch.device) -> None:
        """Build the network on the device. `spec` may have another patch and batch than the plan's own.

        Raises:
            ConfigError: the network cannot be built.
        """
        self._model = new_network(plan).to(device)
        self._optimizer = build_optimizer(self._model, spec)
        rng = np.random.default_rng(0)
        self._sampler = PatchSampler((_noise(plan, spec.patch_size, rng),), spec, rng, tumour=plan.tumour_classes)
        self._spec, self._device, self._tumour = spec, device, plan.tumour_classes

    def seconds(self, steps: int) -> float:
        """Make some steps; wall time.

        Raises:
            TrainingFailed: as `fit`, such as OUT_OF_MEMORY.
        """
        fitted = fit(
            self._model,
            self._sampler,
            self._spec.model_copy(update={"steps": steps}),
            first_step=0,
            total_steps=_MANY_STEPS,
            device=self._device,
            optimizer=self._optimizer,
            tumour=self._tumour,
        )
        return fitted.seconds


def _noise(plan: Plan, shape: tuple[int, int, int], rng: np.random.Generator) -> PreparedCase:
    """A case of noise with one lesion in the middle, as large as the patch."""
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(length // 2, length // 2 + 2) for length in shape)] = min(plan.tumour_classes)
    grid = Grid(shape, np.diag([*plan.preprocessing.spacing_mm, 1.0]))
    return PreparedCase(
        patient="trial",
        exam="trial",
        metadata=Metadata(),
        image=rng.standard_normal((plan.in_channels, *shape), dtype=np.float32),
        label=label,
        mask=np.ones(shape, np.uint8),
        grid=grid,
        native=grid,
        reference=label,
        lesion_voxels=np.argwhere(label).astype(np.int32),
    )
