"""From what the processes of a trial wrote down to what a round cost, and where the time went."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.audit import AuditRecord
from common.compression import Encoding
from server.records import RoundRecord
from simulation.bench.process_figures import NOTHING, ProcessFigures
from simulation.bench.relay import Traffic

STAGES = ("prepare", "seal", "send", "down", "up", "finish", "commit")
# Lines of the ServerApp's log, which server/flower_link.py writes.
_STAMP = r"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) "
SEALED = re.compile(_STAMP + r"round (?P<round>\d+): task of (?P<bytes>\d+) bytes sealed in (?P<s>[\d.]+) s")
SENT = re.compile(_STAMP + r"round (?P<round>\d+): sent to \d+ sites in (?P<s>[\d.]+) s")
FETCHED = re.compile(_STAMP + r"answer of \S+ fetched in (?P<s>[\d.]+) s")
CHECKED = re.compile(_STAMP + r"round (?P<round>\d+): answer of \S+ checked in (?P<s>[\d.]+) s")


@dataclass(frozen=True, slots=True)
class Marks:
    """What had been spent by the end of a round.

    Attributes:
        processes: by name; those of sites are named "supernode SITE" and "worker SITE".
        idle_s: processor time of the whole machine in which nobody had work, since boot.
        traffic: through the counting relay; None without one.
    """

    processes: Mapping[str, ProcessFigures]
    idle_s: float
    traffic: Traffic | None = None


@dataclass(frozen=True, slots=True)
class TransportTrial:
    """What one trial came to; seconds and bytes are those of a round, the mean of those measured.

    Attributes:
        round_seconds: of each measured round, from one commit to the next: all there is to it.
        aggregate_s, commit_s: of it, checking and summing updates and the server's step; and putting it on disk.
        stages: the round's seconds one after the other (`STAGES`); they add up to it.
        beside: seconds of work that goes on within those stages.
        processes: processor seconds a round, and the peak of memory; sites' are added up by kind, except for the
            peak, which is the largest of one.
        idle_share: of all cores' time.
        traffic: bytes a site, TLS included; None when they were not counted.
    """

    sites: int
    encoding: Encoding
    gateway: bool
    round_seconds: tuple[float, ...]
    aggregate_s: float
    commit_s: float
    stages: Mapping[str, float]
    beside: Mapping[str, float]
    processes: Mapping[str, ProcessFigures]
    idle_share: float
    traffic: Traffic | None

    @property
    def seconds(self) -> float:
        """Mean of the rounds."""
        return sum(self.round_seconds) / len(self.round_seconds)


@dataclass(frozen=True, slots=True)
class _Round:
    """One measured round: when it began and ended on the wall clock, and its record."""

    begun_at: float
    ended_at: float
    record: RoundRecord


def trial_of(
    encoding: Encoding,
    gateway: bool,
    history: Sequence[RoundRecord],
    audit: Sequence[AuditRecord],
    log: str,
    times: Sequence[Path],
    marks: Sequence[Marks],
    cores: int,
) -> TransportTrial:
    """Work it out.

    Args:
        encoding: of both directions.
        gateway: whether the sites came through it.
        history: the rounds' records, the one to warm up included.
        audit: the run's, which says when each round was on disk.
        log: the ServerApp's.
        times: what each site wrote down, a file a site.
        marks: at the end of each round, the one to warm up included.
        cores: of the machine.
    """
    ends = {line.round: line.time for line in audit if line.event == "round-committed"}
    rounds = [_Round(ends[record.round - 1], ends[record.round], record) for record in history[1:]]
    site_times = [_read_times(path) for path in times]
    spans = [_stages(one, log, site_times) for one in rounds]
    seconds = tuple(one.ended_at - one.begun_at for one in rounds)
    idle_share = (marks[-1].idle_s - marks[0].idle_s) / (sum(seconds) * cores)
    parts = len(rounds) * len(times)
    first, last = marks[0].traffic, marks[-1].traffic
    whole = last - first if first is not None and last is not None else None
    return TransportTrial(
        sites=len(times),
        encoding=encoding,
        gateway=gateway,
        round_seconds=seconds,
        aggregate_s=_mean([one.record.aggregate_seconds for one in rounds]),
        commit_s=_mean([span["commit"] for span in spans]),
        stages={stage: _mean([span[stage] for span in spans]) for stage in STAGES},
        beside=_beside(rounds, log, site_times),
        processes=_per_round(marks[0].processes, marks[-1].processes, len(rounds)),
        idle_share=min(max(idle_share, 0.0), 1.0),
        traffic=None if whole is None else Traffic(whole.up // parts, whole.down // parts),
    )


def _stages(one: _Round, log: str, sites: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, float]:
    """The round cut at seven moments; one that is not on record falls together with the one before it."""
    sealed, sent, fetched = (_in(one, log, line) for line in (SEALED, SENT, FETCHED))
    taken = [task["taken_at"] + task["take_s"] for task in _tasks(one, sites)]
    counted_at = one.begun_at + one.record.seconds
    moments = [one.begun_at]
    for moment in (
        [at - spent_s for at, spent_s in sealed],
        [at for at, _ in sealed],
        [at for at, _ in sent],
        taken,
        [at for at, _ in fetched],
        [counted_at],
        [one.ended_at],
    ):
        moments.append(max([moments[-1], *moment]))
    pairs = zip(STAGES, itertools.pairwise(moments), strict=True)
    return {stage: after - before for stage, (before, after) in pairs}


def _beside(
    rounds: Sequence[_Round], log: str, sites: Sequence[Sequence[Mapping[str, float]]]
) -> dict[str, float]:
    """What goes on at the same time as other things, or at all sites at once, a mean of each."""
    tasks = [task for one in rounds for task in _tasks(one, sites)]
    fetched = [spent_s for one in rounds for _, spent_s in _in(one, log, FETCHED)]
    checked = [spent_s for one in rounds for _, spent_s in _in(one, log, CHECKED)]
    return {
        "site takes task": _mean([task["take_s"] for task in tasks]),
        "site works": _mean([task["work_s"] for task in tasks]),
        "site hands over": _mean([task["reply_s"] for task in tasks]),
        "server fetches one": _mean(fetched),
        "server checks one": _mean(checked),
    }


def _in(one: _Round, log: str, line: re.Pattern[str]) -> list[tuple[float, float]]:
    """(when it was over, how long it took) of the lines within a round."""
    found = []
    for match in line.finditer(log):
        at = datetime.strptime(match["stamp"], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
        if one.begun_at <= at <= one.ended_at:
            found.append((at, float(match["s"])))
    return found


def _tasks(one: _Round, sites: Sequence[Sequence[Mapping[str, float]]]) -> list[Mapping[str, float]]:
    return [task for site in sites for task in site if one.begun_at <= task["taken_at"] <= one.ended_at]


def _read_times(path: Path) -> list[Mapping[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _per_round(
    before: Mapping[str, ProcessFigures], after: Mapping[str, ProcessFigures], rounds: int
) -> dict[str, ProcessFigures]:
    """A round's share of what was spent in between, sites' processes added up by kind."""
    found: dict[str, ProcessFigures] = {}
    for name, figures in after.items():
        kind = name.partition(" ")[0]
        spent = figures.since(before.get(name, NOTHING))
        sum_so_far = found.get(kind, NOTHING)
        found[kind] = ProcessFigures(
            sum_so_far.cpu_s + spent.cpu_s / rounds, max(sum_so_far.peak_bytes, spent.peak_bytes)
        )
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
