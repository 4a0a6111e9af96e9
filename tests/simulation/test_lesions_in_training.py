"""What a plan counts as tumour decides what training takes for a lesion, at a site and in the pooled baseline."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from client.data.case import PreparedCase
from client.preparing import recipe_for
from client.round import train_round
from client.site import Site
from client.trainer_child import rehearse
from client.trial_steps import TrialSteps
from common.config import DataSection
from common.plan import Plan
from common.protocol import TrainTask
from server.records import initial_state
from server.rounds import initial_weights
from simulation.baselines import Baseline, train_piece
from tests.client.prepared import ball_case

CPU = torch.device("cpu")
CORE = ("netc", "et")


def plan_of(tumour: tuple[str, ...], **training: object) -> Plan:
    values = {
        "name": "p",
        "sites": ["north"],
        "sequences": ["t1c", "flair"],
        "labels": ["netc", "snfh", "et"],
        "model": {"name": "unet_small", "channels": [4, 8]},
        "training": {"steps": 2, "patch_size": [16, 16, 16], "foreground_share": 1.0, "momentum": 0.0, **training},
        "federation": {"rounds": 2},
        "evaluation": {"tumour": tumour, "smallest_cell": 1},
    }
    values["training"] |= {"nesterov": False}  # type: ignore[operator]
    return Plan.model_validate(values, strict=False)


def case(seed: int) -> PreparedCase:
    """Core and rim in a ball, oedema in two corners of which it fills one."""
    ball = ball_case(seed, (16, 16, 16), radius=2)
    assert ball.label is not None
    label = 3 * ball.label
    label[tuple(np.argwhere(label)[:5].T)] = 1
    oedema = np.zeros_like(label)
    oedema[:6, :6, :6] = oedema[12:, 12:, 12:] = 2
    label = np.where(label > 0, label, oedema)
    return replace(ball, label=label, lesion_voxels=np.argwhere(label).astype(np.int32))


def site_of(plan: Plan) -> Site:
    return Site("north", plan, tuple(case(seed) for seed in range(3)), (), (), {}, CPU)


def moved(plan: Plan) -> np.ndarray:
    update = train_round(TrainTask(plan.fingerprint(), 1, initial_weights(plan)), site_of(plan))
    return update.delta.vector


BY_LESION = [
    {"loss": "blob"},
    {"loss": "size_weighted_dice"},
    {"sampling": "small_lesions", "patch_size": [8, 8, 8]},
]


@pytest.mark.parametrize("training", BY_LESION)
def test_oedema_that_is_no_tumour_is_no_lesion_to_a_site(training: dict[str, object]) -> None:
    core, every = moved(plan_of(CORE, **training)), moved(plan_of((), **training))
    assert np.isfinite(core).all() and np.abs(core - every).max() > 1e-5


def test_training_voxel_by_voxel_does_not_ask_what_a_lesion_is() -> None:
    assert np.array_equal(moved(plan_of(CORE)), moved(plan_of(())))


@pytest.mark.parametrize("training", BY_LESION)
def test_the_baseline_trains_on_the_lesions_of_its_sites(training: dict[str, object]) -> None:
    plan = plan_of(CORE, **training)
    start = initial_weights(plan)
    piece = train_piece(initial_state(plan, start), Baseline("local-north", ("north",)), [site_of(plan)], plan)
    np.testing.assert_allclose(piece.weights.vector - start.vector, moved(plan), rtol=0, atol=1e-6)


@pytest.mark.parametrize("training", BY_LESION)
def test_rehearsal_and_trial_make_a_step(training: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    plan = plan_of(("snfh",), **training)
    rehearse(site_of(plan))
    assert not caplog.records
    assert TrialSteps(plan, plan.training, CPU).seconds(1) > 0.0


def test_cases_are_prepared_for_the_plans_tumour() -> None:
    section = DataSection(adapter="ucsf_bmsr", root=Path("data"), labels="three_class")
    assert recipe_for(section, plan_of(CORE)).tumour_indices == {1, 3}
    assert recipe_for(section, plan_of(())).tumour_indices == {1, 2, 3}
