import io
from pathlib import Path

import numpy as np
import pytest
import torch

from client.site import Site
from client.training import build_optimizer, fit
from common.errors import FailureCode, TrainingFailed
from common.model.build import build_model
from common.model.weights import load_weights, weights_of
from common.plan import Plan
from server.records import Outcome, Participation, RoundRecord, RoundState, initial_state
from server.rounds import initial_weights
from server.store import RunStore
from simulation.baselines import (
    Baseline,
    baselines_of,
    can_train,
    joined_sampler,
    train_baselines,
    train_piece,
)
from simulation.pool import Workers
from simulation.progress import PlainProgress
from tests.client.prepared import ball_case
from tests.simulation.experiments import make_plan, make_prepared, make_site


def small_plan(weighting: str = "cases") -> Plan:
    """Two input channels, patches of 8 cubed, 2 steps a round."""
    values = make_plan().model_dump(mode="json")
    values["sequences"] = ["t1c", "flair"]
    values["training"] |= {"steps": 2, "patch_size": [8, 8, 8], "optimizer": "adamw", "learning_rate": 0.01}
    values["federation"] |= {"weighting": weighting}
    return Plan.model_validate_json(Plan.model_validate(values, strict=False).to_json())


def open_site(name: str, plan: Plan, cases: int) -> Site:
    training = tuple(ball_case(seed, (12, 12, 12), radius=2) for seed in range(cases))
    return Site(name, plan, training, (), (), {}, torch.device("cpu"))


def test_sites_that_cannot_train_are_left_out() -> None:
    prepared = make_prepared(make_site("north"), make_site("south", training=0), make_site("west", bad=1))
    assert [can_train(prepared, name) for name in ("north", "south", "west")] == [True, False, False]
    assert baselines_of(prepared, ("local", "pooled")) == (
        Baseline("pooled", ("north",)),
        Baseline("local-north", ("north",)),
    )
    assert baselines_of(prepared, ("federated",)) == ()
    assert baselines_of(make_prepared(make_site("south", training=0)), ("local", "pooled")) == ()


def test_one_bad_case_in_twenty_may_be() -> None:
    assert can_train(make_prepared(make_site("north", training=18, test=1, bad=1)), "north")
    assert not can_train(make_prepared(make_site("north", training=17, test=1, bad=1)), "north")


@pytest.mark.parametrize(("weighting", "share"), [("cases", 0.375), ("equal", 0.25), ("steps", 0.25)])
def test_pooled_batches_are_weighted_as_the_federation_weights_sites(weighting: str, share: float) -> None:
    plan = small_plan(weighting)
    sites = [open_site("north", plan, 3), open_site("south", plan, 1)]
    batch = joined_sampler(sites, plan, piece=1).next()
    assert batch.shares.tolist() == pytest.approx([share, share, 0.5 - share, 0.5 - share])


def test_pooled_sees_the_very_patches_that_its_sites_see() -> None:
    plan = small_plan()
    sites = [open_site("north", plan, 3), open_site("south", plan, 1)]
    joined = joined_sampler(sites, plan, piece=2).next()
    alone = [joined_sampler([site], plan, piece=2).next() for site in sites]
    assert torch.equal(joined.image, torch.cat([batch.image for batch in alone]))
    assert not torch.equal(joined.image, joined_sampler(sites, plan, piece=1).next().image)


def test_pieces_are_one_uninterrupted_training() -> None:
    plan = small_plan()
    site = open_site("north", plan, 2)
    state = initial_state(plan, initial_weights(plan))
    for _ in range(3):
        state = train_piece(state, Baseline("local-north", ("north",)), [site], plan)

    model = build_model(plan.model, 2, 2, plan.seed)
    load_weights(model, initial_weights(plan))
    optimizer = build_optimizer(model, plan.training)  # lives on, in memory
    for piece in (1, 2, 3):
        fit(
            model,
            joined_sampler([site], plan, piece),
            plan.training,
            first_step=2 * (piece - 1),
            total_steps=6,
            device=site.device,
            optimizer=optimizer,
        )
    assert np.array_equal(state.weights.vector, weights_of(model).vector)
    assert (state.round_id, state.record.sites[0].steps, state.record.sites[0].cases) == (3, 2, 2)


def commit_next(folder: Path, baseline: Baseline) -> RoundRecord:
    """A piece without training; the local model of the south diverges in its second."""
    plan = make_plan()
    store = RunStore(folder / "baselines" / baseline.name, lambda event, round_id, text: None)
    state = store.latest(plan) or store.begin(plan, initial_weights(plan))
    if (baseline.name, state.round_id) == ("local-south", 1):
        raise TrainingFailed(FailureCode.NOT_FINITE_LOSS, "step 3: loss nan")
    part = Participation(site=baseline.name, outcome=Outcome.ACCEPTED, loss=0.5)
    record = state.record.model_copy(update={"round": state.round_id + 1, "advanced": True, "sites": (part,)})
    store.commit(RoundState(state.weights, {}, record))
    return record


def test_a_baseline_that_fails_is_left_out_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulation.baselines.baseline_job", commit_next)
    prepared, stream = make_prepared(), io.StringIO()
    wanted = baselines_of(prepared, ("local", "pooled"))
    with Workers(1, 1) as workers:
        finished = train_baselines(prepared, wanted, tmp_path, workers, PlainProgress(stream))
    assert sorted(finished) == ["local-north", "local-west", "pooled"]
    assert {len(result.history) for result in finished.values()} == {3}
    assert "baseline local-south is left out: training failed: not-finite-loss: step 3" in stream.getvalue()


def test_pieces_made_before_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.baselines.baseline_job", commit_next)
    prepared, stream = make_prepared(), io.StringIO()
    commit_next(tmp_path, Baseline("pooled", ("north", "south", "west")))
    with Workers(1, 1) as workers:
        train_baselines(prepared, baselines_of(prepared, ("pooled",)), tmp_path, workers, PlainProgress(stream))
    assert [line.split(" (")[0] for line in stream.getvalue().splitlines()] == ["baselines 2/3", "baselines 3/3"]
