"""The commands with which a consortium founds a federation and decides who belongs to it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from common.durable import write_durably
from common.expiry import refuse_failed
from common.fingerprints import grouped, parse_fingerprint
from common.passphrase import given_passphrase, passphrase_for
from server.enrollment import enroll_site
from server.provisioning import ServerFolder, init_federation, open_server
from server.registry import Status
from server.rotation import published_rotations, rotate_server
from server.standing import set_standing
from server.trust_status import trust_status

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The aggregator's folder, made by fedmets-server init.")]
Site = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the passphrase of the authority's and identity's keys, mode 600; or set "
        "FEDMETS_PASSPHRASE_FILE."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_trust_commands(app: typer.Typer) -> None:
    """Add init, enroll, suspend, reinstate, remove, rotate and status."""
    for command in (init, enroll, suspend, reinstate, remove, rotate, status):
        app.command()(command)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made here; must not exist or be empty.")],
    name: Annotated[str, typer.Option(help="The federation's name, such as BMFED.")],
    host: Annotated[
        list[str], typer.Option(help="Name or address that sites dial; repeat it for further ones to certify.")
    ],
    port: Annotated[int, typer.Option(help="The gateway's port.", min=1, max=65535)] = 8443,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Found a federation: its authority, the server's identity and TLS certificate, an empty registry of sites.

    DIR then holds private keys: keep it for the aggregator's user alone, and keep a backup under lock. The
    fingerprint it prints is what hospitals compare by telephone when they join.

    Example:

    \b
        fedmets-server init /srv/bmfed --name BMFED --host fed.example.org --port 8443
    """
    made = init_federation(folder, name, host, port, _now(), given_passphrase(passphrase_file))
    fingerprint = made.authority().fingerprint
    if as_json:
        print(json.dumps({"schema": 1, "federation": name, "authority": fingerprint, "folder": str(folder)}))
    else:
        address = made.federation.address
        print(f"{folder}: federation {name} at {address}\nauthority fingerprint {grouped(fingerprint)}")


def enroll(
    folder: Dir,
    request: Annotated[Path, typer.Argument(metavar="REQUEST", help="The request.json that a hospital sent.")],
    out: Annotated[Path, typer.Option(help="Where to write the kit that goes back; it holds no private key.")],
    fingerprint: Annotated[
        str | None, typer.Option(metavar="SHA256", help="The request's fingerprint, as the hospital reads it out.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Answer a hospital's request, a first one or a renewal, with a signed kit.

    Telephone the hospital first and compare the fingerprint of its request. Other sites notice nothing. The same
    request may be answered again, should the kit be lost.

    Example:

    \b
        fedmets-server enroll /srv/bmfed request.json --out hospital-a.kit
    """
    opened = open_server(folder)
    passphrase = passphrase_for(opened.authority_key, passphrase_file)
    wanted = parse_fingerprint(fingerprint) if fingerprint is not None else None
    done = enroll_site(opened, request, out, _now(), passphrase, wanted)
    if as_json:
        result = {"schema": 1, "site": done.entry.name, "outcome": done.outcome, "kit": str(out)}
        print(json.dumps({**result, "request": done.fingerprint, "authority": opened.authority().fingerprint}))
        return
    print(
        f"{out}: {done.entry.name} {done.outcome.replace('-', ' ')}; send this file back to the site\n"
        f"the request's fingerprint, for the site to read out: {grouped(done.fingerprint)}\n"
        f"the authority's fingerprint, for you to read out:    {grouped(opened.authority().fingerprint)}"
    )


def suspend(folder: Dir, site: Site, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Refuse a site from its next message on, until it is reinstated.

    Example:

    \b
        fedmets-server suspend /srv/bmfed hospital-a
    """
    _set(folder, site, Status.SUSPENDED, passphrase_file, as_json)


def reinstate(folder: Dir, site: Site, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Let a suspended site take part again, with the keys it has.

    Example:

    \b
        fedmets-server reinstate /srv/bmfed hospital-a
    """
    _set(folder, site, Status.ACTIVE, passphrase_file, as_json)


def remove(folder: Dir, site: Site, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Refuse a site for good and put its certificates on the revocation list; nothing changes for the others.

    To come back, it makes new keys and a new request.

    Example:

    \b
        fedmets-server remove /srv/bmfed hospital-a
    """
    _set(folder, site, Status.REMOVED, passphrase_file, as_json)


def rotate(
    folder: Dir,
    host: Annotated[
        list[str] | None, typer.Option(help="A further name or address for the TLS certificate; may be repeated.")
    ] = None,
    dial: Annotated[
        str | None,
        typer.Option(help="The name or address that sites are to dial instead; each learns it from its next kit."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the list of rotations, for sites to `follow` from a file.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Give the server a new identity and a new TLS certificate; no site has to enrol anew.

    The old identity signs the new one, and a site believes the new one for that and for the authority's word.
    An aggregator that is up takes both by itself; for an nginx in front run fedmets-server nginx again.

    Example:

    \b
        fedmets-server rotate /srv/bmfed --out rotations.json
    """
    opened = open_server(folder)
    rotation = rotate_server(
        opened, _now(), passphrase_for(opened.authority_key, passphrase_file), host or (), dial
    )
    if out is not None:
        write_durably(out, f"{published_rotations(opened).to_json()}\n".encode())
    generation = rotation.body.generation
    if as_json:
        print(json.dumps({"schema": 1, "generation": generation, "out": str(out) if out else None}))
    else:
        print(f"{folder}: server keys of generation {generation}; fedmets-server up takes them by itself")


def status(folder: Dir, as_json: AsJson = False) -> None:
    """Show the federation, its sites, certificates that have expired or are about to, and how its runs stand.

    Exits with 0, warnings included, and with 1 when a certificate has expired or the audit log does not hold.

    Example:

    \b
        fedmets-server status /srv/bmfed
    """
    from server.nodes import connections  # late: numpy and the like, which the other commands spare
    from server.run_report import report_runs
    from server.up_record import read_up, running_cli

    server = open_server(folder)
    found, up, runs = trust_status(server, _now()), read_up(server), report_runs(server)
    seen = connections(server, running_cli(server)) if up else {}
    if as_json:
        state = {
            "up": up.model_dump(mode="json") if up else None,
            "connections": seen,
            "runs": [run.to_dict() for run in runs],
        }
        print(json.dumps({"schema": 1, "level": found.level, **asdict(found), **state}))
    else:
        processes = f"up since {up.ready_at:%Y-%m-%d %H:%M:%S} UTC: {', '.join(up.pids)}" if up else "not up"
        nodes = [f"node of {site}: {standing}" for site, standing in sorted(seen.items())]
        for line in (*found.lines(), processes, *nodes, *(line for run in runs for line in run.lines(server))):
            print(line)
    refuse_failed(found.findings, folder)


def _set(folder: Path, site: str, standing: Status, passphrase_file: Path | None, as_json: bool) -> None:
    opened: ServerFolder = open_server(folder)
    opened.registry.get(site)  # a mistyped name is said before a passphrase is asked for
    passphrase = passphrase_for(opened.authority_key, passphrase_file)
    entry = set_standing(opened, site, standing, _now(), passphrase)
    if as_json:
        print(json.dumps({"schema": 1, "site": entry.name, "standing": str(entry.status)}))
    else:
        print(f"{entry.name}: {entry.status}")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
