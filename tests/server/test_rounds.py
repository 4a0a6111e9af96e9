import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.audit import read_audit
from common.errors import CheckpointCorrupt, OutputError, RefusalCode, RunStalled
from common.protocol import SiteRefused, SiteReply, TrainTask
from common.weights import Vector, Weights
from server.aggregation.build import Mean
from server.records import OptimizerState, Outcome, RoundRecord, RunStatus
from server.rounds import RunResult, initial_weights, run_federation
from tests.server.builders import SITES, FakeLink, make_plan, make_update, open_run

PLAN = make_plan()


def silent(site: str, task: TrainTask) -> SiteReply | None:
    return None


def refuse(site: str, task: TrainTask) -> SiteReply:
    return SiteRefused(site, task.round_id, RefusalCode.NO_TRAINING_CASES)


def poisoned(site: str, task: TrainTask) -> SiteReply:
    update = make_update(site, task)
    return replace(update, delta=update.delta.with_vector(np.full_like(update.delta.vector, np.nan)))


def run(folder: Path, link: FakeLink, rounds: int = 3) -> RunResult:
    return run_federation(open_run(make_plan(rounds=rounds), folder), link, on_round=lambda record: None)


def events(folder: Path) -> list[str]:
    return [record.event for record in read_audit(folder / "audit.jsonl")]


def test_a_run_of_three_rounds(tmp_path: Path) -> None:
    seen: list[RoundRecord] = []
    result = run_federation(open_run(PLAN, tmp_path), link := FakeLink(), on_round=seen.append)
    assert result.status is RunStatus.COMPLETED
    assert tuple(seen) == result.history
    assert [(record.round, record.advanced, record.accepted) for record in seen] == [
        (n, True, 4) for n in (1, 2, 3)
    ]
    assert len({record.model_sha256 for record in seen}) == 3
    assert result.model.record == seen[-1]
    assert events(tmp_path) == ["run-began", *["round-committed"] * 3, "run-ended"]
    assert [task.round_id for task in link.tasks] == [1, 2, 3]


def test_one_round_is_the_model_plus_the_weighted_mean(tmp_path: Path) -> None:
    result = run(tmp_path, link := FakeLink(), rounds=1)
    (task,) = link.tasks
    updates = [make_update(site, task) for site in SITES]
    mean = np.average(
        np.array([update.delta.vector for update in updates], np.float64),
        axis=0,
        weights=[update.report.cases or 0 for update in updates],
    )
    assert np.abs(result.model.weights.vector - (task.weights.vector + mean)).max() < 1e-6


class Median:
    """A robust rule: the middle of the updates, value by value, which no mean of them gives."""

    def __init__(self) -> None:
        self._updates: list[Vector] = []

    @property
    def updates(self) -> int:
        return len(self._updates)

    def add(self, update: Vector, weight: int) -> None:
        self._updates.append(update)

    def mean(self) -> Vector:
        return np.median(self._updates, axis=0).astype(np.float32)


class MedianAggregator:
    def empty_mean(self, parameters: int) -> Mean:
        return Median()

    def step(self, weights: Weights, mean: Vector, state: OptimizerState) -> tuple[Weights, OptimizerState]:
        return weights.with_vector(weights.vector + mean), state


def test_a_robust_rule_takes_the_place_of_the_mean(tmp_path: Path) -> None:
    federation = replace(open_run(make_plan(rounds=1), tmp_path), aggregator=MedianAggregator())
    result = run_federation(federation, link := FakeLink(), lambda record: None)
    (task,) = link.tasks
    median = np.median([make_update(site, task).delta.vector for site in SITES], axis=0).astype(np.float32)
    assert np.array_equal(result.model.weights.vector, task.weights.vector + median)


def test_no_order_of_arrival_changes_a_bit(tmp_path: Path) -> None:
    orders = list(itertools.permutations(SITES))[::5]
    models = {
        run(tmp_path / str(n), FakeLink(order), 2).model.record.model_sha256 for n, order in enumerate(orders)
    }
    assert len(models) == 1


@pytest.mark.parametrize("behaviour", [silent, refuse, poisoned])
def test_a_round_under_quorum_leaves_the_model_as_it_was(tmp_path: Path, behaviour: object) -> None:
    def only_in_round_2(site: str, task: TrainTask) -> SiteReply | None:
        return behaviour(site, task) if task.round_id == 2 else make_update(site, task)  # type: ignore[operator]

    result = run(tmp_path, FakeLink(behaviour=dict.fromkeys(SITES[:3], only_in_round_2)))
    assert [record.advanced for record in result.history] == [True, False, True]
    assert result.history[1].model_sha256 == result.history[0].model_sha256
    assert result.history[1].accepted == 1
    assert result.status is RunStatus.PARTIAL


def test_three_rounds_in_a_row_below_quorum_stop_a_run_that_then_resumes(tmp_path: Path) -> None:
    """Sites that answer with a code answer at once: all of a long run's rounds would be gone in minutes."""
    link = FakeLink(behaviour=dict.fromkeys(SITES[:3], refuse))
    said = (
        "3 rounds in a row had updates of fewer than 2 of 4 sites, as the plan's quorum asks; in round 3: "
        "north no-training-cases, south no-training-cases, east no-training-cases; put that right, then resume: "
        "3 rounds are left"
    )
    with pytest.raises(RunStalled) as stalled:
        run(tmp_path, link, rounds=6)
    assert str(stalled.value) == said
    assert events(tmp_path) == ["run-began", *["round-committed"] * 3, "run-stalled"]
    result = run(tmp_path, FakeLink(), rounds=6)
    assert [record.advanced for record in result.history] == [False] * 3 + [True] * 3
    assert result.status is RunStatus.PARTIAL


def test_a_run_that_never_meets_its_quorum_fails(tmp_path: Path) -> None:
    result = run(tmp_path, FakeLink(behaviour=dict.fromkeys(SITES, silent)))
    assert result.status is RunStatus.FAILED
    assert np.array_equal(result.model.weights.vector, initial_weights(PLAN).vector)
    assert {site.outcome for record in result.history for site in record.sites} == {Outcome.LATE}


def test_a_poisoned_update_is_named_in_the_audit_log(tmp_path: Path) -> None:
    result = run(tmp_path, FakeLink(behaviour={"east": poisoned}), rounds=1)
    assert result.status is RunStatus.PARTIAL
    (rejection,) = (record for record in read_audit(tmp_path / "audit.jsonl") if record.event == "update-rejected")
    assert (rejection.details["site"], rejection.details["code"]) == ("east", "not-finite")


class Interrupted(Exception):
    """Stands for whatever ends a process between two rounds."""


def test_an_interrupted_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    def interrupt(record: RoundRecord) -> None:
        if record.round == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        run_federation(open_run(PLAN, tmp_path / "cut"), FakeLink(), interrupt)
    resumed = run(tmp_path / "cut", link := FakeLink(tuple(reversed(SITES))))
    whole = run(tmp_path / "whole", FakeLink())
    assert [task.round_id for task in link.tasks] == [3]
    assert resumed == replace(whole, model=resumed.model)
    assert resumed.model.record.model_sha256 == whole.model.record.model_sha256
    assert "run-resumed" in events(tmp_path / "cut")


def test_a_round_cut_off_before_its_line_in_the_log_is_told_of_by_the_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(event: str, round_id: int | None, details: object) -> None:
        if event != "run-began":
            raise KeyboardInterrupt

    federation = open_run(PLAN, tmp_path)
    monkeypatch.setattr(federation.audit, "record", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_federation(federation, FakeLink(behaviour={"west": refuse}), lambda record: None)
    run(tmp_path, FakeLink())
    (resumed,) = [line for line in read_audit(tmp_path / "audit.jsonl") if line.event == "run-resumed"]
    assert resumed.round == 1
    assert resumed.details["sites"] == {**dict.fromkeys(SITES, "accepted"), "west": "no-training-cases"}


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = run(tmp_path, FakeLink())
    second = run(tmp_path, link := FakeLink())
    assert link.tasks == []
    assert (second.status, second.history) == (first.status, first.history)


def test_a_damaged_newest_commit_is_said_and_its_round_is_run_again(tmp_path: Path) -> None:
    first = run(tmp_path, FakeLink())
    (tmp_path / "rounds" / "round-0003" / "model.safetensors").write_bytes(b"damaged")
    said: list[str] = []
    again = run_federation(open_run(PLAN, tmp_path, said), link := FakeLink(), lambda record: None)
    assert [task.round_id for task in link.tasks] == [3]
    assert again.model.record.model_sha256 == first.model.record.model_sha256
    assert len(said) == 1
    assert "round-0003" in said[0]
    assert "commit-corrupt" in events(tmp_path)


def test_a_damaged_old_record_is_told_of_before_any_site_is_asked(tmp_path: Path) -> None:
    run_federation(open_run(PLAN, tmp_path), FakeLink(), lambda record: None)
    shutil.rmtree(tmp_path / "rounds" / "round-0003")
    (tmp_path / "rounds" / "round-0001" / "state.json").write_text("{}")
    link = FakeLink()
    with pytest.raises(CheckpointCorrupt, match=r"round-0001/state.json: .* restore a backup"):
        run_federation(open_run(PLAN, tmp_path), link, lambda record: None)
    assert not link.tasks


def test_the_folder_of_another_plan_is_refused_before_any_site_is_asked(tmp_path: Path) -> None:
    run(tmp_path, FakeLink(), rounds=3)
    with pytest.raises(OutputError):
        run(tmp_path, link := FakeLink(), rounds=4)
    assert link.tasks == []


def test_seconds_are_recorded(tmp_path: Path) -> None:
    ticks = iter(range(1000))
    federation = replace(open_run(make_plan(rounds=1), tmp_path), clock=lambda: float(next(ticks)))
    (record,) = run_federation(federation, FakeLink(), lambda record: None).history
    # the clock is read at the start, twice a reply, and around the step
    assert (record.seconds, record.aggregate_seconds) == (10.0, 5.0)
