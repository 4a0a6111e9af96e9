"""Where the sites of a federation run: in worker processes here, as daemons of their own, or under Ray.

The federated loop and a site's round are the same in all of them, and so are the bits of the model.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from server.federation import open_federation
from server.records import RoundRecord
from server.rounds import RunResult, run_federation
from simulation.config import Experiment
from simulation.link import InProcessLink
from simulation.pool import Workers
from simulation.progress import Progress
from simulation.sites import Prepared
from simulation.timing import Stopwatch


@dataclass(frozen=True, slots=True)
class Means:
    """What every step of a run works with: where it writes, who computes, who keeps time and who is told."""

    folder: Path
    workers: Workers
    stopwatch: Stopwatch
    progress: Progress

    def begin_rounds(self, prepared: Prepared, done: int) -> None:
        """Tell that the rounds begin, after so many that an earlier call made."""
        self.progress.stage("federated", prepared.plan.federation.rounds, done)

    def note_round(self, record: RoundRecord) -> None:
        """Credit a committed round's seconds and tell of it."""
        credit_round(record, self.stopwatch)
        self.stopwatch.save()
        self.progress.advance(describe_round(record))


Engine: TypeAlias = Callable[[Experiment, Prepared, Means], RunResult]


def run_in_process(experiment: Experiment, prepared: Prepared, means: Means) -> RunResult:
    """server/rounds.py over sites in the worker processes that the other arms use."""
    plan = prepared.plan
    federation = open_federation(plan, means.folder, time.perf_counter, time.time, means.progress.note)
    link = InProcessLink(means.folder, plan.sites, means.workers)
    latest = federation.store.latest(plan)
    means.begin_rounds(prepared, latest.round_id if latest else 0)
    return run_federation(federation, link, means.note_round)


def credit_round(record: RoundRecord, stopwatch: Stopwatch) -> None:
    """Divide a round's wall seconds: aggregation as measured, the rest as the sites spent theirs.

    A round of 10 s with 1 s of aggregation, whose sites together trained 12 s and evaluated 6 s: 6 s and 3 s.
    """
    trained = sum(site.train_seconds for site in record.sites)
    evaluated = sum(site.evaluate_seconds for site in record.sites)
    working_s = max(0.0, record.seconds - record.aggregate_seconds)
    share = evaluated / (trained + evaluated) if trained + evaluated else 0.0
    stopwatch.add("aggregate", record.aggregate_seconds)
    stopwatch.add("evaluate", working_s * share)
    stopwatch.add("train", working_s * (1.0 - share))


def describe_round(record: RoundRecord) -> str:
    """One line: each site's loss, or what became of it."""
    parts = [
        f"{site.site} {site.loss:.3f}" if site.loss is not None else f"{site.site} {site.code or site.outcome}"
        for site in record.sites
    ]
    kept = "" if record.advanced else " - below quorum, the model stays as it was"
    return f"loss: {', '.join(parts)}{kept}"
