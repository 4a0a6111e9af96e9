"""Pooled training is the weighted mean of the sites, for every loss, way of sampling and kind of label."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from client.data.case import PreparedCase
from client.data.sampling import JoinedSampler, PatchSampler, round_seed
from client.memory_estimate import step_memory
from client.training import fit
from common.model.build import build_model
from common.model.weights import weights_of
from common.plan import ModelSpec, Plan, TrainingSpec
from tests.client.prepared import ball_case
from tests.common.model.losses.examples import BINARY, LOSSES, TUMOUR

CPU = torch.device("cpu")
MODEL = ModelSpec(name="unet_small", channels=(4, 8))
SHARES = {"three-class": 5.0, "binary": 3.0}
PLAIN = TrainingSpec(
    steps=1,
    patch_size=(16, 16, 16),
    momentum=0.0,
    nesterov=False,
    gradient_clip_norm=None,
    weight_decay=0.0,
    learning_rate=0.1,
)


def case_at(site: str, seed: int) -> PreparedCase:
    """A ball of core in a shell of rim beside a slab of oedema; the binary site drew core and rim as one."""
    case = ball_case(seed)
    assert case.label is not None
    label = 3 * case.label
    core = np.argwhere(case.label)
    label[tuple(core[: len(core) // 2].T)] = 1
    if site == "three-class":
        label[:2][label[:2] == 0] = 2
        return replace(case, label=label, lesion_voxels=np.argwhere(label).astype(np.int32))
    return replace(case, label=np.where(label > 0, 4, 0).astype(np.uint8), meanings=BINARY)


def sampler(site: str, spec: TrainingSpec) -> PatchSampler:
    cases = [case_at(site, seed) for seed in range(2)]
    return PatchSampler(cases, spec, np.random.default_rng(round_seed(0, site, 1)), tumour=TUMOUR)


@pytest.mark.parametrize("sampling", ["foreground", "small_lesions"])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_step_averaged_over_sites_is_one_step_on_their_joined_batch(loss: str, sampling: str) -> None:
    spec = PLAIN.model_copy(update={"loss": loss, "sampling": sampling})
    start = weights_of(build_model(MODEL, 2, 4, seed=0)).vector

    def moved(batches: PatchSampler | JoinedSampler) -> np.ndarray:
        model = build_model(MODEL, 2, 4, seed=0)
        fit(model, batches, spec, first_step=0, total_steps=1, device=CPU, tumour=TUMOUR)
        return weights_of(model).vector - start

    alone = [moved(sampler(site, spec)) for site in SHARES]
    together = moved(JoinedSampler([sampler(site, spec) for site in SHARES], list(SHARES.values())))
    averaged = np.average(alone, axis=0, weights=list(SHARES.values()))
    assert np.abs(averaged).max() > 1e-3
    np.testing.assert_allclose(together, averaged, rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_is_repeatable_to_the_bit(loss: str) -> None:
    spec = PLAIN.model_copy(update={"loss": loss, "sampling": "small_lesions", "steps": 2})
    shas = []
    for _ in range(2):
        model = build_model(MODEL, 2, 4, seed=0)
        fit(model, sampler("binary", spec), spec, first_step=0, total_steps=2, device=CPU, tumour=TUMOUR)
        shas.append(weights_of(model).sha256())
    assert shas[0] == shas[1]


def test_pooled_batches_keep_each_samples_meanings() -> None:
    batch = JoinedSampler([sampler(site, PLAIN) for site in SHARES], [1.0, 1.0]).next()
    assert batch.meanings == ((), (), BINARY, BINARY)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_steps_memory_can_be_reckoned(loss: str) -> None:
    plan = Plan(name="p", sequences=("t1c",), sites=("a",), model=MODEL, training=PLAIN)
    plan = plan.model_copy(update={"training": PLAIN.model_copy(update={"loss": loss})})
    assert step_memory(plan, half_precision=False).peak_bytes > 0
