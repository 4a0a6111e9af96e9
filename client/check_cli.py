"""`fedmets-site check`: the preflight as a command."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from client.approvals import Proposal, all_plans
from client.preflight import Part, preflight
from client.site_folder import SiteFolder
from client.trust_cli import AsJson, SiteDir
from common.cli import one_line
from common.errors import EnrollmentError
from common.expiry import refuse_failed, worst

All = Annotated[
    bool,
    typer.Option("--all", help="Read every voxel of every case, however long that takes; hours for thousands."),
]
_TELL_EVERY_S = 10.0


def add_check_command(app: typer.Typer) -> None:
    """Add check."""
    app.command()(check)


def check(site_dir: SiteDir, everything: All = False, as_json: AsJson = False) -> None:
    """Check this site in under 30 seconds: one line each, ok, warn or fail, and what to do.

    Looks at keys and certificates, every case's files, disks, versions, memory and speed of training, and the way
    to the gateway; against the newest plan that is approved or proposed here, if there is one. Of the images it
    reads as many as it has time for; with --all it reads every one, which can take hours.
    The result names cases and paths of this hospital: do not send it on as it is.
    Exits with 0 when nothing fails, warnings included, and with 1 otherwise.

    Example:

    \b
        fedmets-site check /srv/fedmets
    """
    if not site_dir.is_dir():
        raise EnrollmentError(f"{site_dir}: no such folder; run fedmets-site request {site_dir} --name NAME first")
    started_s = time.monotonic()
    folder = SiteFolder(site_dir)
    proposal = _plan_here(folder)
    plan = proposal.plan if proposal is not None else None
    parts = preflight(folder, plan, _now, _tell, _every(_TELL_EVERY_S) if everything else None)
    findings = [finding for part in parts for finding in part.findings]
    if as_json:
        listed = [{"part": part.name, **asdict(finding)} for part in parts for finding in part.findings]
        result = {
            "schema": 1,
            "level": worst(findings),
            "plan": proposal.plan_id if proposal is not None else None,
            "seconds": round(time.monotonic() - started_s, 1),
            "findings": listed,
        }
        print(json.dumps(result))
    else:
        print("\n".join(_as_text(part) for part in parts))
    refuse_failed(findings, site_dir)


def _plan_here(folder: SiteFolder) -> Proposal | None:
    """The newest plan that is approved, else the newest that waits; None where there is neither."""
    plans = all_plans(folder)
    for standing in ("approved", "waiting"):
        found = [proposal for proposal in plans if proposal.standing == standing]
        if found:
            return found[-1]
    return None


def _as_text(part: Part) -> str:
    return "\n".join([part.name, *(f"  {one_line(finding.line)}" for finding in part.findings)])


def _tell(part: Part) -> None:
    """Say on stderr that a part is done, so that nobody takes the silence for an end."""
    print(f"{part.name}: {worst(part.findings)}, {part.seconds:.1f} s", file=sys.stderr, flush=True)


def _every(seconds: float) -> Callable[[str], None]:
    """Says on stderr how far it is, but not more often than this."""
    due_s = time.monotonic() + seconds

    def tell(words: str) -> None:
        nonlocal due_s
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + seconds
            print(f"data: {words}", file=sys.stderr, flush=True)

    return tell


def _now() -> datetime:
    return datetime.now(UTC)
