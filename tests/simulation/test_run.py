from pathlib import Path

import pytest

from server.records import Outcome, Participation, RoundRecord, RunStatus, initial_state
from server.rounds import RunResult, initial_weights
from simulation.engine import credit_round
from simulation.run import how_it_ended
from simulation.timing import Stopwatch
from tests.simulation.experiments import make_plan, make_prepared, make_site


def record(seconds: float, aggregate_seconds: float, *sites: tuple[float, float]) -> RoundRecord:
    """A round whose sites trained and evaluated for so many seconds."""
    parts = tuple(
        Participation(site=f"s{i}", outcome=Outcome.ACCEPTED, train_seconds=train, evaluate_seconds=evaluate)
        for i, (train, evaluate) in enumerate(sites)
    )
    return RoundRecord(
        round=1,
        plan_id="p",
        seed=1,
        advanced=True,
        model_sha256="m",
        seconds=seconds,
        aggregate_seconds=aggregate_seconds,
        sites=parts,
    )


@pytest.mark.parametrize(
    ("one", "train", "evaluate", "aggregate"),
    [
        (record(10.0, 1.0, (8.0, 4.0), (4.0, 2.0)), 6.0, 3.0, 1.0),
        (record(10.0, 1.0), 9.0, 0.0, 1.0),  # nobody worked: the wait for them was training's
        (record(1.0, 2.0, (1.0, 0.0)), 0.0, 0.0, 2.0),  # clocks of short rounds
    ],
)
def test_a_rounds_seconds_are_divided_as_the_sites_spent_theirs(
    one: RoundRecord, train: float, evaluate: float, aggregate: float, tmp_path: Path
) -> None:
    stopwatch = Stopwatch(tmp_path / "seconds.json", lambda: 0.0)
    credit_round(one, stopwatch)
    totals = stopwatch.totals()
    divided = [totals[part] for part in ("train", "evaluate", "aggregate")]
    assert divided == pytest.approx([train, evaluate, aggregate])


def ended(status: RunStatus = RunStatus.COMPLETED) -> RunResult:
    plan = make_plan()
    return RunResult(status, initial_state(plan, initial_weights(plan)), ())


def test_with_a_federation_its_end_counts_unless_a_comparison_is_missing() -> None:
    prepared, baselines = make_prepared(), {"pooled": ended()}
    for status in RunStatus:
        assert how_it_ended(prepared, ended(status), baselines, ("federated", "pooled")) is status
    assert how_it_ended(prepared, ended(), {}, ("federated", "pooled")) is RunStatus.PARTIAL
    assert how_it_ended(prepared, ended(RunStatus.FAILED), {}, ("federated", "pooled")) is RunStatus.FAILED


def test_without_a_federation_the_baselines_count() -> None:
    whole, torn = make_prepared(), make_prepared(make_site("north"), make_site("south", training=0))
    assert how_it_ended(whole, None, {"pooled": ended()}, ("pooled",)) is RunStatus.COMPLETED
    assert how_it_ended(torn, None, {"pooled": ended()}, ("pooled",)) is RunStatus.PARTIAL
    assert how_it_ended(whole, None, {"pooled": ended()}, ("local", "pooled")) is RunStatus.PARTIAL
    assert how_it_ended(whole, None, {}, ("pooled",)) is RunStatus.FAILED
    none = make_prepared(make_site("south", training=0))
    assert how_it_ended(none, None, {}, ("pooled",)) is RunStatus.FAILED
