"""The commands with which a consortium runs a plan: plan, start, resume, stop and release."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from common.passphrase import passphrase_for
from common.plan_words import what_comes, what_leaves, what_runs
from server.flower_cli import FlowerCli
from server.plans import KeptPlan, pick_plan, read_plan, sign_plan
from server.provisioning import ServerFolder, open_server
from server.records import EXIT_CODES
from server.releasing import release_model
from server.running import begin_run, check_bundle, end_run, send_release, watch_run
from server.superlink import flower_folder
from server.trust_cli import AsJson, Dir, PassphraseFile
from server.up_record import read_up, running_cli

PlanId = Annotated[
    str, typer.Argument(metavar="PLAN_ID", help="The plan's id, or as much of its beginning as tells.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Stay and show each round, until the run is over.")]
ApprovalDeadline = Annotated[
    float,
    typer.Option(
        help="Seconds that the hospitals' people have to decide; then a quorum of approvals is enough.",
        min=1.0,
    ),
]


def add_run_commands(app: typer.Typer) -> None:
    """Add plan, start, resume, stop and release."""
    for command in (plan, start, resume, stop, release):
        app.command()(command)


def plan(
    folder: Dir,
    file: Annotated[
        Path, typer.Argument(metavar="PLAN_TOML", help="What the sites are to agree on, and `sites`.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Check and sign a plan, and say what each of its sites will be asked for and what will leave it.

    A plan is an experiment file without [phantom], [data], [partition] and [runtime], and with the names of its
    sites. `start` proposes it to them; a person at each decides. The file it writes can also be sent by mail.

    Example:

    \b
        fedmets-server plan /srv/bmfed plan.toml
    """
    from common.model.build import new_network, parameter_count  # torch and Flower take seconds to import
    from server.bundle import write_bundle

    server, read = open_server(folder), read_plan(file)
    bundle_sha256 = write_bundle(flower_folder(server).app)
    keys = server.server_keys()
    identity = server.identity(passphrase_for(keys.identity_key, passphrase_file))
    kept = sign_plan(server, read, bundle_sha256, identity, _now())
    parameters = parameter_count(new_network(read))
    words = {
        "each site runs": what_runs(read),
        "comes to it": what_comes(read, parameters),
        "leaves it": what_leaves(read, parameters),
    }
    if as_json:
        made = {"schema": 1, "plan_id": kept.body.plan_id, "bundle_sha256": bundle_sha256, "file": str(kept.path)}
        print(json.dumps({**made, **words}))
        return
    for title, lines in words.items():
        print(f"{title}:")
        for line in lines:
            print(f"  {line}")
    print(f"app bundle {bundle_sha256}")
    print(f"signed as {kept.path}")
    print(f"plan {kept.body.plan_id}")
    print(f"next: fedmets-server start {folder} {kept.body.plan_id[:12]}")


def start(
    folder: Dir,
    plan_id: PlanId,
    wait: Wait = False,
    approval_deadline_s: ApprovalDeadline = 7 * 86400.0,
    as_json: AsJson = False,
) -> None:
    """Propose a plan to its sites and, once their people have approved it, train it round by round.

    The aggregator must be up (fedmets-server up). Training begins when every site has decided and a quorum has
    approved. With --wait the exit code tells the end: 0 completed, 3 partial, 1 failed.

    Example:

    \b
        fedmets-server start /srv/bmfed 3f2a --wait
    """
    _begin(folder, plan_id, wait, approval_deadline_s, as_json)


def resume(
    folder: Dir,
    plan_id: PlanId,
    wait: Wait = False,
    approval_deadline_s: ApprovalDeadline = 7 * 86400.0,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was stopped or interrupted, from its last committed round.

    Example:

    \b
        fedmets-server resume /srv/bmfed 3f2a --wait
    """
    _begin(folder, plan_id, wait, approval_deadline_s, as_json)


def stop(folder: Dir, plan_id: PlanId, as_json: AsJson = False) -> None:
    """Stop a run: the round under way is lost, every committed one stands, and `resume` goes on from there.

    Example:

    \b
        fedmets-server stop /srv/bmfed 3f2a
    """
    server, kept, cli = _open(folder, plan_id)
    end_run(server, kept, cli, _now())
    print(json.dumps({"schema": 1, "plan_id": kept.body.plan_id}) if as_json else "stopped")


def release(
    folder: Dir,
    plan_id: PlanId,
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="The model's folder; made here.")],
    send: Annotated[bool, typer.Option("--send", help="Send it to the plan's sites too, to be fetched.")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's model as a folder that carries the aggregator's signature.

    Research software, not a medical device.

    Example:

    \b
        fedmets-server release /srv/bmfed 3f2a --out model --send
    """
    server = open_server(folder)
    kept = pick_plan(server, plan_id)
    cli = running_cli(server) if send else None  # before anything is written that cannot be sent
    identity = server.identity(passphrase_for(server.server_keys().identity_key, passphrase_file))
    if cli is not None:
        check_bundle(server, kept)
    sha256 = release_model(server, kept, out, identity, _now())
    if cli is not None:
        send_release(server, kept, cli)
    if as_json:
        print(json.dumps({"schema": 1, "model": str(out), "model_sha256": sha256, "sent": send}))
        return
    print(f"released {out}: model {sha256}")
    if send:
        print("on its way to the sites; each takes it with: fedmets-site fetch")


def _begin(folder: Path, plan_id: str, wait: bool, approval_deadline_s: float, as_json: bool) -> None:
    server, kept, cli = _open(folder, plan_id)
    since = _now()
    number = begin_run(server, kept, cli, approval_deadline_s, since)
    say = _teller(as_json)
    say(
        {"event": "started", "plan_id": kept.body.plan_id, "flower_run": number}, f"started, Flower's run {number}"
    )
    if not wait:
        return
    state = ""
    for report in watch_run(server, kept, since, lambda: read_up(server) is not None):
        state = report.state
        say({"event": "progress", **report.to_dict()}, "\n".join(report.lines(server)))
    raise typer.Exit(EXIT_CODES.get(state, 1))


def _open(folder: Path, plan_id: str) -> tuple[ServerFolder, KeptPlan, FlowerCli]:
    server = open_server(folder)
    return server, pick_plan(server, plan_id), running_cli(server)


def _teller(as_json: bool) -> Callable[[dict[str, object], str], None]:
    def say(record: dict[str, object], text: str) -> None:
        print(json.dumps(record) if as_json else text, file=sys.stdout, flush=True)

    return say


def _now() -> datetime:
    return datetime.now(UTC)
