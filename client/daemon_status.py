"""What `fedmets-site status` tells: what runs, since when, and what the audit log says happened last."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime

from client import supernode
from client.approvals import all_plans, damaged_plans
from client.daemon import RUN_FOLDER, log_file
from client.site_folder import SiteFolder
from client.supernode import read_standing
from client.trust_checks import check_trust
from common.audit import AuditRecord, read_audit
from common.errors import AuditBroken
from common.schema import Frozen
from common.supervisor_state import ProgramRecord, read_state


class ProgramStatus(Frozen):
    """One of the daemon's programs.

    Attributes:
        state: running; waiting, which means that it ended and will be started again; or not running.
        restarts: since the daemon was started.
        last_code: how it ended last; None when it never did.
    """

    name: str
    state: str
    pid: int | None = None
    since: AwareDatetime | None = None
    restarts: int = 0
    last_code: int | None = None


class Happened(Frozen):
    """A line of the audit log in brief."""

    at: AwareDatetime
    what: str
    round: int | None = None
    plan_id: str | None = None


class SiteStatus(Frozen):
    """A site at one moment.

    Attributes:
        running: the daemon itself.
        connected, connection: how the SuperNode stands with the aggregator, and in words.
        last_task, last_reply: the newest task that was begun, the newest message that left.
        plans_waiting: plans that nobody here has decided about.
        warnings: what is about to expire or is wrong, one sentence each.
    """

    schema_version: int = 1
    site: str
    federation: str
    running: bool
    connected: bool
    connection: str
    programs: tuple[ProgramStatus, ...]
    last_task: Happened | None
    last_reply: Happened | None
    plans_waiting: tuple[str, ...]
    warnings: tuple[str, ...]


def site_status(folder: SiteFolder, now: datetime) -> SiteStatus:
    """Look at a joined site without disturbing it.

    Raises:
        EnrollmentError: the site has not joined, or a file of its is damaged.
    """
    kit = folder.joined().kit().body
    state = read_state(folder.path / RUN_FOLDER)
    running = state is not None and state.is_current()
    programs = tuple(_program(one) for one in state.programs) if state is not None and running else ()
    node = next((one for one in programs if one.name == supernode.NAME), None)
    node_runs = node is not None and node.state == "running"
    started_at = node.since if node is not None and node_runs else None
    standing = read_standing(log_file(folder, supernode.NAME), started_at)
    last_task, last_reply, broken = _last_lines(folder)
    warnings = [finding.line for finding in check_trust(folder, now) if finding.level != "ok"]
    damaged = [f"plan {one.plan_id[:12]}: {one.damage}" for one in damaged_plans(folder)]
    return SiteStatus(
        site=kit.site,
        federation=kit.federation,
        running=running,
        connected=node_runs and standing.connected,
        connection=standing.words if running else "the daemon does not run; start it with fedmets-site run",
        programs=programs,
        last_task=last_task,
        last_reply=last_reply,
        plans_waiting=tuple(one.plan_id for one in all_plans(folder) if one.standing == "waiting"),
        warnings=(*warnings, *broken, *damaged),
    )


def as_text(status: SiteStatus, now: datetime) -> str:
    """For a terminal, a line a thing."""
    lines = [f"{status.site} in {status.federation}: {'running' if status.running else 'not running'}"]
    lines.append(f"  connection  {status.connection}")
    for one in status.programs:
        since = f" for {_duration((now - one.since).total_seconds())}" if one.since else ""
        restarts = f", restarted {one.restarts} times" if one.restarts else ""
        code = f", ended last with code {one.last_code}" if one.last_code is not None else ""
        lines.append(f"  {one.name:<10}  {one.state}{since}{restarts}{code}")
    for label, event in (("last task", status.last_task), ("last reply", status.last_reply)):
        lines.append(f"  {label:<10}  {_event_text(event)}")
    for plan_id in status.plans_waiting:
        lines.append(f"  waiting     plan {plan_id[:12]}: read it with fedmets-site approve")
    return "\n".join([*lines, *(f"  {warning}" for warning in status.warnings)])


def _program(record: ProgramRecord) -> ProgramStatus:
    return ProgramStatus(
        name=record.name,
        state=record.state,
        pid=record.process.pid if record.process else None,
        since=record.since,
        restarts=record.restarts,
        last_code=record.last_code,
    )


def _last_lines(folder: SiteFolder) -> tuple[Happened | None, Happened | None, list[str]]:
    """The newest task and the newest reply, and what is wrong with the log."""
    task: Happened | None = None
    reply: Happened | None = None
    path = folder.path / "audit.jsonl"
    try:
        for record in read_audit(path) if path.exists() else ():
            if record.event == "task-begun":
                task = _happened(record, "task begun", record.details)
            elif record.event == "left-the-house":
                body = record.details.get("body", {})
                reply = _happened(record, _reply_words(body, record.details), body)
    except AuditBroken as error:
        return task, reply, [str(error)]
    return task, reply, []


def _happened(record: AuditRecord, what: str, about: Mapping[str, Any]) -> Happened:
    return Happened(
        at=datetime.fromtimestamp(record.time, UTC), what=what, round=record.round, plan_id=about.get("plan_id")
    )


def _reply_words(body: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """In brief: "update, 124768272 bytes", "failed: out-of-memory", "plan waiting"."""
    what = body.get("outcome") or f"plan {body.get('standing')}"
    code = f": {body['code']}" if body.get("code") else ""
    size = f", {details.get('payload_bytes')} bytes" if what == "update" else ""
    return f"{what}{code}{size}"


def _event_text(event: Happened | None) -> str:
    if event is None:
        return "none yet"
    place = f", round {event.round}" if event.round else ""
    plan = f" of plan {event.plan_id[:12]}" if event.plan_id else ""
    return f"{event.at:%Y-%m-%d %H:%M:%S} UTC: {event.what}{place}{plan}"


def _duration(seconds: float) -> str:
    """In brief: "42 s", "17 min", "5 h", "3 days"."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"
