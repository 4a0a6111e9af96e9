"""Dropout draws from torch's global state, which must decide nothing: the plan's seed, site and round do."""

import numpy as np
import pytest
import torch

from client.data.sampling import PatchSampler, round_seed
from client.training import fit, torch_seed
from common.model.build import build_model
from common.model.weights import weights_of
from common.plan import ModelSpec, TrainingSpec
from tests.client.prepared import ball_case

SPEC = TrainingSpec(steps=2, patch_size=(16, 16, 16), momentum=0.9)
CPU = torch.device("cpu")


def _trained(dropout_seed: int, share: float | None = None) -> str:
    model = build_model(ModelSpec(name="cnn", channels=(4, 4), dropout=share), 2, 2, seed=0)
    sampler = PatchSampler([ball_case(0)], SPEC, np.random.default_rng(0))
    fit(model, sampler, SPEC, first_step=0, total_steps=10, device=CPU, dropout_seed=dropout_seed)
    return weights_of(model).sha256()


def test_the_seed_decides_what_is_dropped_and_the_global_state_neither_does_nor_changes() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = _trained(5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert _trained(5) == first
    assert _trained(6) != first


def test_without_dropout_its_seed_is_nothing() -> None:
    assert _trained(5, share=0.0) == _trained(6, share=0.0)


@pytest.mark.parametrize(("site", "round_id"), [("south", 1), ("north", 2)])
def test_sites_and_rounds_drop_otherwise(site: str, round_id: int) -> None:
    north = torch_seed(round_seed(7, "north", 1))
    assert north == torch_seed(round_seed(7, "north", 1)) == 5168270668559573182
    assert torch_seed(round_seed(7, site, round_id)) != north
