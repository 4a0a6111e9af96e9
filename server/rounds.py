"""The federated loop. Open this file first, then client/round.py.

A run is a sequence of rounds. A round sends the model to the sites, takes the mean of what they learned, moves
the model by it, and is committed whole or never happened: a crash loses one round's work at most, and the same
command goes on from the last commit to the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from common.audit import JSON
from common.compression import as_sent
from common.errors import ConfigError, RunStalled
from common.model.build import new_network
from common.model.weights import weights_of
from common.plan import Plan
from common.protocol import TrainTask
from common.weights import Weights
from server.collect import Collected, collect
from server.federation import Federation
from server.links import SiteLink
from server.records import RoundRecord, RoundState, RunStatus, run_status
from server.selection import quorum_of, select_sites

STALLED_AFTER = 3  # rounds below quorum in a row


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended: its status, its last model and every round from the first on."""

    status: RunStatus
    model: RoundState
    history: tuple[RoundRecord, ...]


def run_federation(federation: Federation, link: SiteLink, on_round: Callable[[RoundRecord], None]) -> RunResult:
    """Run a plan's rounds to the end, from wherever an earlier call left off.

    Args:
        on_round: told of each round once it is on disk.

    Raises:
        OutputError: the store belongs to another plan.
        CheckpointCorrupt: the store holds no whole commit any more.
        StorageError: a commit or the audit log cannot be written; what was committed stands.
        RunStalled: three rounds in a row were below quorum, and there are more to come.
    """
    plan = federation.plan
    model, below = _resume_or_begin(federation), 0
    for round_id in range(model.round_id + 1, plan.federation.rounds + 1):
        model = run_round(round_id, model, federation, link)
        on_round(model.record)
        below = 0 if model.record.advanced else below + 1
        if below == STALLED_AFTER and round_id < plan.federation.rounds:
            raise _stalled(model.record, federation)
    history = federation.store.history()
    status = run_status(history, plan.federation.rounds)
    federation.audit.record(
        "run-ended", model.round_id, {"status": status, "model_sha256": model.record.model_sha256}
    )
    return RunResult(status, model, history)


def run_round(round_id: int, model: RoundState, federation: Federation, link: SiteLink) -> RoundState:
    """Move the model by one round; every site of the plan has one outcome on record."""
    plan, start_s = federation.plan, federation.clock()
    sites = select_sites(plan, link.online())
    task = TrainTask(plan.fingerprint(), round_id, weights_as_sent(model.weights, plan))
    replies = link.train(sites, task, plan.federation.deadline_s)  # yields as they arrive
    mean = federation.aggregator.empty_mean(model.weights.vector.size)
    collected = collect(replies, task, sites, plan, mean, federation.clock)
    new = _advance(model, round_id, collected, federation, start_s)
    federation.store.commit(new)  # on disk before anyone is told
    _tell_audit(federation, new.record, collected)
    return new


def _stalled(record: RoundRecord, federation: Federation) -> RunStalled:
    """Else sites that fail at once, as on full disks, would use up a week's rounds within minutes."""
    plan, missing = federation.plan, {site: code for site, code in _outcomes(record).items() if code != "accepted"}
    federation.audit.record("run-stalled", record.round, {"sites": dict(missing)})
    told = ", ".join(f"{site} {code}" for site, code in missing.items())
    return RunStalled(
        f"{STALLED_AFTER} rounds in a row had updates of fewer than {quorum_of(plan)} of {len(plan.sites)} sites, "
        f"as the plan's quorum asks; in round {record.round}: {told}; put that right, then resume: "
        f"{plan.federation.rounds - record.round} rounds are left"
    )


def weights_as_sent(weights: Weights, plan: Plan) -> Weights:
    """The model as the sites will read it, which their differences are to; what the server keeps stays exact.

    So a move too small for the encoding is not lost: it adds up in the server's own weights until it shows.

    Raises:
        ConfigError: the plan's encoding cannot hold the model.
    """
    try:
        return weights.with_vector(as_sent(weights.vector, plan.federation.down))
    except ValueError as error:
        raise ConfigError(f"plan '{plan.name}': {error}; set federation.down = 'float32' in a new plan") from None


def _advance(
    model: RoundState, round_id: int, collected: Collected, federation: Federation, start_s: float
) -> RoundState:
    """The model moved along the mean update; below quorum the model as it was, and the record says so."""
    plan, step_s = federation.plan, federation.clock()
    weights, optimizer = model.weights, model.optimizer
    advanced = collected.mean.updates >= quorum_of(plan)
    if advanced:
        weights, optimizer = federation.aggregator.step(weights, collected.mean.mean(), optimizer)
    end_s = federation.clock()
    record = RoundRecord(
        round=round_id,
        plan_id=plan.fingerprint(),
        seed=plan.seed,
        advanced=advanced,
        model_sha256=weights.sha256(),
        seconds=end_s - start_s,
        aggregate_seconds=collected.seconds + end_s - step_s,
        sites=collected.participation,
    )
    return RoundState(weights, optimizer, record)


def _resume_or_begin(federation: Federation) -> RoundState:
    """Read the last commit: all that a resume takes. In a new folder, commit the initial model as round 0."""
    plan = federation.plan
    model = federation.store.latest(plan)
    event = "run-began" if model is None else "run-resumed"
    if model is not None:
        federation.store.history()  # a record lost to damage is told of now, not after the last round
    model = model or federation.store.begin(plan, initial_weights(plan))
    # The round is told of again: a crash between its commit and its line in the log leaves it untold.
    federation.audit.record(event, model.round_id, {"plan_id": model.record.plan_id, **_told(model.record)})
    return model


def initial_weights(plan: Plan) -> Weights:
    """Weights of the plan's network before any training; they follow from the plan's seed."""
    return weights_of(new_network(plan))


def _tell_audit(federation: Federation, record: RoundRecord, collected: Collected) -> None:
    for rejection in collected.rejections:
        details = {"site": rejection.site, "code": rejection.code, "text": rejection.text}
        federation.audit.record("update-rejected", record.round, details)
    federation.audit.record("round-committed", record.round, _told(record))


def _told(record: RoundRecord) -> dict[str, JSON]:
    return {
        "advanced": record.advanced,
        "model_sha256": record.model_sha256,
        "sites": dict(_outcomes(record)),
    }


def _outcomes(record: RoundRecord) -> dict[str, str]:
    return {site.site: site.code or site.outcome for site in record.sites}
