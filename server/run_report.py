"""How a federation's runs stand, in words that say what to do next."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from common.errors import CheckpointCorrupt
from server.federation import ROUNDS_FOLDER
from server.plans import KeptPlan, all_plans
from server.pooled_figures import PooledFigures, in_words, latest_figures
from server.provisioning import ServerFolder
from server.records import RoundRecord, RunStatus, run_status
from server.run_folder import START_WITHIN, RunFault, RunFolder, RunProgress
from server.store import RunStore
from server.superlink import flower_folder


@dataclass(frozen=True, slots=True)
class RunReport:
    """One plan and its run.

    Attributes:
        state: not started, starting, proposing, training, interrupted, stopped, completed, partial or failed.
        fault: the kind of what interrupted it, where that was no error of ours; else None.
        last: the last committed round; None before the first.
        validation: figures of the last round that was validated, over all sites; None before the first.
    """

    plan_id: str
    name: str
    state: str
    round_id: int
    rounds: int
    standings: dict[str, str]
    reason: str
    fault: RunFault | None
    changed_at: datetime | None
    last: RoundRecord | None
    validation: PooledFigures | None

    def lines(self, folder: ServerFolder) -> list[str]:
        """As a terminal shows it."""
        where = f"{folder.path} {self.plan_id[:12]}"
        head = f"run {self.plan_id[:12]} '{self.name}': {self.state}, round {self.round_id} of {self.rounds}"
        since = f", since {self.changed_at:%Y-%m-%d %H:%M:%S} UTC" if self.changed_at else ""
        found = [f"{head}{since}{': ' if self.reason else ''}{self.reason}"]
        if self.state == "proposing":
            found += [f"  {site}: {standing}" for site, standing in sorted(self.standings.items())]
        if self.last is not None:
            kept = "" if self.last.advanced else "; quorum missed, the model stayed as it was"
            outcomes = ", ".join(f"{site.site} {site.code or site.outcome}" for site in self.last.sites)
            found.append(f"  round {self.last.round}: {outcomes}{kept}")
        if self.validation is not None:
            found.append(f"  {in_words(self.validation)}")
        if self.state == RunStatus.FAILED and self.round_id == self.rounds:
            return [*found, f"  {_NO_ROUND_LEFT} {folder.path} PLAN_TOML"]
        advice = _ADVICE.get(self.state)
        return [*found, f"  {advice} {where}"] if advice else found

    def to_dict(self) -> dict[str, Any]:
        """As `status --json` gives it."""
        return {
            "plan_id": self.plan_id,
            "name": self.name,
            "state": self.state,
            "round": self.round_id,
            "rounds": self.rounds,
            "standings": self.standings,
            "reason": self.reason,
            "fault": self.fault,
            "changed_at": self.changed_at.isoformat() if self.changed_at else None,
            "last_round": self.last.model_dump(mode="json") if self.last else None,
            "validation": asdict(self.validation) if self.validation else None,
        }


AT_WORK = ("starting", "proposing", "training")
_NO_ROUND_LEFT = "the rounds say why; put that right, and sign a plan of another name with: fedmets-server plan"
_ADVICE = {
    "starting": "Flower was asked to begin it; end it with: fedmets-server stop",
    "not started": "begin it with: fedmets-server start",
    "interrupted": "no committed round is lost; go on with: fedmets-server resume",
    "stopped": "go on with: fedmets-server resume",
    "failed": "see the reason, then: fedmets-server resume",
    "completed": "release its model with: fedmets-server release",
    "partial": "not every site was in every round; its model can be had with: fedmets-server release",
}


def report_runs(folder: ServerFolder) -> list[RunReport]:
    """Every plan's run, in the order of the plans."""
    return [report_run(folder, kept) for kept in all_plans(folder)]


def report_run(folder: ServerFolder, kept: KeptPlan) -> RunReport:
    """One plan's run: what its process last wrote, checked against whether that process is alive."""
    run = RunFolder(folder, kept.body.plan_id)
    progress, history = run.progress(), _history(run)
    last, rounds = history[-1] if history else None, kept.plan.federation.rounds
    state = _state(run, progress, history, rounds)
    return RunReport(
        plan_id=kept.body.plan_id,
        name=kept.plan.name,
        state=state,
        round_id=last.round if last else 0,
        rounds=rounds,
        standings=progress.standings if progress else {},
        reason=_reason(folder, progress, state, history),
        fault=progress.fault if progress else None,
        changed_at=progress.changed_at if progress else None,
        last=last,
        validation=latest_figures(history),
    )


def _state(run: RunFolder, progress: RunProgress | None, history: Sequence[RoundRecord], rounds: int) -> str:
    if progress is None:
        return "not started"
    if progress.phase == "ended" and progress.status:
        return str(progress.status)
    if progress.phase != "ended" and run.at_work():
        return progress.phase
    if history and history[-1].round == rounds:  # its process ended before it could say so; nothing can be resumed
        return str(run_status(history, rounds))
    if progress.phase == "ended":
        return "stopped"
    return "starting" if progress.is_starting(datetime.now(UTC)) else "interrupted"


def _reason(folder: ServerFolder, progress: RunProgress | None, state: str, history: Sequence[RoundRecord]) -> str:
    """What its process left, or what follows from how it was left."""
    if progress is None or progress.reason:
        return progress.reason if progress else ""
    if progress.phase == "starting" and state == "interrupted":
        within_s = START_WITHIN.total_seconds()
        return f"Flower did not begin it within {within_s:g} s; see the logs in {flower_folder(folder).path}/logs"
    if state == "interrupted":
        return "its process ended without a word: killed, or by Flower after a minute without a sign of life"
    no_quorum = state == RunStatus.FAILED and history
    return "no round met its quorum, so the model never moved" if no_quorum else ""


def _history(run: RunFolder) -> Sequence[RoundRecord]:
    """From the commits, not from what was said of them; a damaged history is told of by the run itself."""
    try:
        return RunStore(run.path / ROUNDS_FOLDER, lambda event, round_id, text: None).history()
    except CheckpointCorrupt:
        return ()
