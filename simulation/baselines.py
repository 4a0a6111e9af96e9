"""The two comparisons every federation owes: each site alone, and all data in one place.

A baseline trains without interruption of its optimiser, in pieces of one round's steps that are committed like
rounds, so that it can be stopped and goes on to the same bits. In every piece it sees the very patches that its
sites see in the federation's round of the same number: a local model makes its site's steps, the pooled model
makes as many, each on the sites' batches joined and weighted as the federation weights its sites.
"""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.data.quality import bad_share
from client.data.sampling import JoinedSampler, PatchSampler, Sampler, round_seed
from client.site import Site
from client.training import build_optimizer, fit, torch_seed
from common.errors import FedmetsError, TrainingFailed
from common.model.weights import load_optimizer_tensors, optimizer_tensors, trained_network, weights_of
from common.plan import Plan
from common.weights import Weights
from server.records import Outcome, Participation, RoundRecord, RoundState, RunStatus
from server.rounds import RunResult, initial_weights
from server.store import RunStore
from simulation.pool import Workers, result_of
from simulation.progress import Progress
from simulation.sites import Prepared, load_prepared, open_site

BASELINES_FOLDER = "baselines"
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model trained in one place: `pooled`, or `local-SITE`."""

    name: str
    sites: tuple[str, ...]


def train_baselines(
    prepared: Prepared,
    baselines: tuple[Baseline, ...],
    folder: Path,
    workers: Workers,
    progress: Progress,
) -> dict[str, RunResult]:
    """Train all baselines side by side; what each came to, by name.

    One whose training fails, as when its loss is no longer finite, is told of and left out.

    Raises:
        FedmetsError: a worker died.
        StorageError: the disk is full.
    """
    plan, rounds = prepared.plan, prepared.plan.federation.rounds
    done = {baseline: _pieces_done(folder, baseline, plan, progress.note) for baseline in baselines}
    progress.stage("baselines", rounds * len(baselines), sum(done.values()))
    running: dict[Future[RoundRecord], Baseline] = {}
    failed: set[Baseline] = set()
    idle = [baseline for baseline in baselines if done[baseline] < rounds]
    while idle or running:
        while idle and len(running) < workers.count:
            baseline = idle.pop(0)
            running[workers.submit(baseline_job, folder, baseline)] = baseline
        finished, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        for future in finished:
            baseline = running.pop(future)
            try:
                record = result_of(future)
            except TrainingFailed as failure:
                progress.note(f"baseline {baseline.name} is left out: {failure}")
                failed.add(baseline)
                continue
            progress.advance(f"{baseline.name} loss {record.sites[0].loss:.3f}")
            if record.round < rounds:
                idle.insert(0, baseline)  # the same one again: the longest job, listed first, is never starved
    finished_ones = [baseline for baseline in baselines if baseline not in failed]
    return {baseline.name: _finished(folder, baseline, plan, progress.note) for baseline in finished_ones}


def baseline_job(folder: Path, baseline: Baseline) -> RoundRecord:
    """Make and commit the next piece of one baseline, in a worker process."""
    plan = load_prepared(folder).plan
    sites = [open_site(folder, name) for name in baseline.sites]
    store = _store(folder, baseline, lambda text: None)
    state = store.latest(plan) or store.begin(plan, initial_weights(plan))
    new = train_piece(state, baseline, sites, plan)
    store.commit(new)
    return new.record


def train_piece(state: RoundState, baseline: Baseline, sites: list[Site], plan: Plan) -> RoundState:
    """One round's steps on the joined batches of the sites, the optimiser going on from the state."""
    start_s, piece, spec = time.perf_counter(), state.round_id + 1, plan.training
    model = trained_network(plan, state.weights).to(sites[0].device)
    optimizer = build_optimizer(model, spec)
    load_optimizer_tensors(optimizer, {name: np.asarray(t, np.float32) for name, t in state.optimizer.items()})
    log = fit(
        model,
        joined_sampler(sites, plan, piece),
        spec,
        first_step=(piece - 1) * spec.steps,
        total_steps=plan.federation.rounds * spec.steps,
        device=sites[0].device,
        optimizer=optimizer,
        dropout_seed=torch_seed(round_seed(plan.seed, "+".join(baseline.sites), piece)),
        tumour=plan.tumour_classes,
    )
    weights = weights_of(model)
    part = Participation(
        site=baseline.name,
        outcome=Outcome.ACCEPTED,
        cases=sum(len(site.training_cases) for site in sites),
        steps=log.steps,
        loss=log.loss,
        train_seconds=log.seconds,
    )
    return RoundState(weights, optimizer_tensors(optimizer), _record(state, piece, weights, start_s, part))


def joined_sampler(sites: list[Site], plan: Plan, piece: int) -> Sampler:
    """The batches that these sites draw in that round of the federation, joined."""
    samplers = [
        PatchSampler(
            site.training_cases,
            plan.training,
            np.random.default_rng(round_seed(plan.seed, site.name, piece)),
            plan.optional_channels,
            plan.tumour_classes,
        )
        for site in sites
    ]
    if len(samplers) == 1:
        return samplers[0]
    by_cases = plan.federation.weighting == "cases"  # steps are equal at all sites, so are their weights
    return JoinedSampler(samplers, [float(len(site.training_cases)) if by_cases else 1.0 for site in sites])


def baselines_of(prepared: Prepared, arms: tuple[str, ...]) -> tuple[Baseline, ...]:
    """The baselines of the chosen arms, the longest first; sites that cannot train are left out."""
    able = tuple(site.name for site in prepared.sites if can_train(prepared, site.name))
    pooled = (Baseline("pooled", able),) if "pooled" in arms and able else ()
    local = tuple(Baseline(f"local-{name}", (name,)) for name in able) if "local" in arms else ()
    return pooled + local


def can_train(prepared: Prepared, name: str) -> bool:
    """Whether a site has a case to train on and so few bad ones that it does not refuse, as client/policy.py."""
    site = prepared.site(name)
    share = bad_share(site.quarantined, len(site.cases))
    return bool(site.training) and share <= prepared.plan.quality.max_bad_share


def _record(state: RoundState, piece: int, weights: Weights, start_s: float, part: Participation) -> RoundRecord:
    return RoundRecord(
        round=piece,
        plan_id=state.record.plan_id,
        seed=state.record.seed,
        advanced=True,
        model_sha256=weights.sha256(),
        seconds=time.perf_counter() - start_s,
        sites=(part,),
    )


def _store(folder: Path, baseline: Baseline, note: Callable[[str], None]) -> RunStore:
    return RunStore(folder / BASELINES_FOLDER / baseline.name, lambda event, round_id, text: note(text))


def _pieces_done(folder: Path, baseline: Baseline, plan: Plan, note: Callable[[str], None]) -> int:
    state = _store(folder, baseline, note).latest(plan)
    return state.round_id if state else 0


def _finished(folder: Path, baseline: Baseline, plan: Plan, note: Callable[[str], None]) -> RunResult:
    store = _store(folder, baseline, note)
    state = store.latest(plan)
    if state is None:
        raise FedmetsError(f"baseline {baseline.name}: no state on disk under {folder / BASELINES_FOLDER}")
    return RunResult(RunStatus.COMPLETED, state, store.history())
