"""The commands with which a person at a hospital decides about plans and takes released models."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from client.approvals import Proposal, all_plans, damaged_plans, decide, pick_plan, receive_plan
from client.releases import SentReleases, fetch_release, fetch_sent
from client.server_trust import open_site
from client.site_folder import SiteFolder
from client.trust_cli import AsJson, PassphraseFile, SiteDir
from common.cli import one_line
from common.documents import read_document
from common.errors import FedmetsError, UserError
from common.passphrase import passphrase_for
from common.plan_words import what_comes, what_leaves, what_runs
from common.wire import SignedBody

PlanArgument = Annotated[
    str,
    typer.Argument(
        metavar="PLAN", help="A plan's id, or as much of its beginning as tells; or a signed plan's file."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Decide without being asked, as in a script.")]


def add_plan_commands(app: typer.Typer) -> None:
    """Add plans, approve, refuse and fetch."""
    for command in (plans, approve, refuse, fetch):
        app.command()(command)


def plans(site_dir: SiteDir, as_json: AsJson = False) -> None:
    """List the plans that were proposed to this site, and what was decided about each.

    Example:

    \b
        fedmets-site plans /srv/fedmets
    """
    folder = SiteFolder(site_dir)
    found, damaged = [one for one in all_plans(folder) if not one.damage], damaged_plans(folder)
    if as_json:
        listed = [{"plan_id": one.plan_id, "name": one.plan.name, "standing": one.standing} for one in found]
        print(json.dumps({"schema": 1, "plans": listed, "damaged": [asdict(one) for one in damaged]}))
        return
    for one in found:
        proposed = f"proposed {one.body.proposed_at:%Y-%m-%d %H:%M} UTC"
        print(f"{one.plan_id[:12]}  {one.standing:<8}  {one.plan.name}, {proposed}")
    for broken in damaged:
        print(one_line(f"{broken.plan_id[:12]}  damaged   {broken.damage}"))
    if not found and not damaged:
        print("no plan was proposed to this site yet")


def approve(
    site_dir: SiteDir, plan: PlanArgument, yes: Yes = False, passphrase_file: PassphraseFile = None
) -> None:
    """Read what a plan will run here and what will leave this house, and allow it.

    The decision can be taken back with `refuse` at any time; it counts from the next task on.

    Example:

    \b
        fedmets-site approve /srv/fedmets 3f2a
    """
    _decide(site_dir, plan, "approved", yes, passphrase_file)


def refuse(
    site_dir: SiteDir, plan: PlanArgument, yes: Yes = False, passphrase_file: PassphraseFile = None
) -> None:
    """Refuse a plan, or take an approval back: no task of it is worked on from now on.

    Example:

    \b
        fedmets-site refuse /srv/fedmets 3f2a
    """
    _decide(site_dir, plan, "refused", yes, passphrase_file)


def fetch(
    site_dir: SiteDir,
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A model's folder that came by another way.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Verify the models that the aggregator has released to this site, and store them for `segment`.

    Each counts for itself: one that is refused keeps no other from being stored. What is stored is left alone.
    Exits with 1 when one is refused that is not stored yet.
    Research software, not a medical device.

    Example:

    \b
        fedmets-site fetch /srv/fedmets
    """
    folder = SiteFolder(site_dir)
    passphrase = passphrase_for(folder.joined().identity_key, passphrase_file)
    now = datetime.now(UTC)
    if model is not None:
        found = SentReleases((fetch_release(folder, model, now, passphrase),), ())
    else:
        found = fetch_sent(folder, now, passphrase)
    _print_releases(found, as_json)
    if found.refused:
        sent = len(found.fetched) + len(found.refused)
        raise FedmetsError(
            f"{site_dir}: {len(found.refused)} of {sent} releases were refused; the lines above say which and why"
        )


def _print_releases(found: SentReleases, as_json: bool) -> None:
    """All of them, those refused too: that one is refused must not hide that another is stored."""
    if as_json:
        listed = [
            {"name": one.name, "path": str(one.path), "model_sha256": one.sha256, "was_here": one.was_here}
            for one in found.fetched
        ]
        refused = [{"path": str(one.source), "reason": one.reason} for one in found.refused]
        print(json.dumps({"schema": 1, "models": listed, "refused": refused}))
        return
    for one in found.fetched:
        how = "stored before" if one.was_here else "signature holds"
        print(f"{one.path}: model of '{one.name}' after round {one.round_id}, sha256 {one.sha256}, {how}")
    for other in found.refused:
        print(one_line(f"refused: {other.source}: {other.reason}"))


def _decide(
    site_dir: Path, plan: str, standing: Literal["approved", "refused"], yes: bool, passphrase_file: Path | None
) -> None:
    folder = SiteFolder(site_dir)
    proposal = _find(folder, plan, passphrase_file)
    _show(proposal)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("a person decides about a plan, and there is no terminal to ask at; or give --yes")
        typer.confirm(f"Shall this plan be {standing} at '{folder.joined().kit().body.site}'?", abort=True)
    decide(folder, proposal, standing, datetime.now(UTC))
    print(f"plan {proposal.plan_id[:12]} is {standing}")


def _find(folder: SiteFolder, plan: str, passphrase_file: Path | None) -> Proposal:
    """By id, or from a file whose signature is verified as that of a plan that came over the line is."""
    path = Path(plan)
    if not path.is_file():
        return pick_plan(folder, plan)
    message = read_document(SignedBody, path, "a signed plan").envelope()
    trust = open_site(folder, passphrase_for(folder.joined().identity_key, passphrase_file))
    return receive_plan(folder, trust, message, datetime.now(UTC))


def _show(proposal: Proposal) -> None:
    from common.model.build import new_network, parameter_count  # torch takes seconds to import

    plan = proposal.plan
    parameters = parameter_count(new_network(plan))
    for title, lines in (
        ("runs here", what_runs(plan)),
        ("comes in", what_comes(plan, parameters)),
        ("leaves this house", what_leaves(plan, parameters)),
    ):
        print(f"{title}:")
        for line in lines:
            print(f"  {line}")
    print(f"now it is {proposal.standing} here")
