"""The commands with which a hospital joins a federation and looks after its keys."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from client.joining import Joined, compare_with, join_federation
from client.requesting import Requested, request_enrollment, request_renewal
from client.server_trust import follow_file
from client.site_folder import SiteFolder
from common.certificates import identity_of
from common.errors import EnrollmentError, TrustCode, TrustError
from common.fingerprints import grouped, parse_fingerprint
from common.passphrase import given_passphrase, passphrase_for

SiteDir = Annotated[Path, typer.Argument(metavar="SITE_DIR", help="The hospital's folder: keys, kit and logs.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File with the passphrase of the identity key, mode 600; or set FEDMETS_PASSPHRASE_FILE."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_trust_commands(app: typer.Typer) -> None:
    """Add request, join, renew and follow."""
    for command in (request, join, renew, follow):
        app.command()(command)


def request(
    site_dir: SiteDir,
    name: Annotated[str, typer.Option(help="The hospital's name in the federation, such as hospital-a.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make this hospital's keys, and a request to the consortium that holds their public halves.

    Send SITE_DIR/request.json by any way, mail will do: it is not secret. The private keys never leave SITE_DIR.
    When the consortium calls, read the fingerprint to it.

    Example:

    \b
        fedmets-site request /srv/fedmets --name hospital-a
    """
    made = request_enrollment(SiteFolder(site_dir), name, _now(), given_passphrase(passphrase_file))
    _print_request(made, as_json)


def join(
    site_dir: SiteDir,
    kit: Annotated[Path, typer.Argument(metavar="KIT", help="The file that the consortium sent back.")],
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="SHA256", help="The authority's fingerprint, as the consortium reads it out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the consortium's kit and join its federation.

    Telephone the consortium and compare the fingerprint: whoever could change the kit on its way could otherwise
    put a federation of his own in its place. Without a terminal, --fingerprint is needed.
    A kit that answers `renew` needs neither: it must be of the authority that this site believes already. Where
    --fingerprint is given, it is compared all the same.

    Example:

    \b
        fedmets-site join /srv/fedmets hospital-a.kit
        fedmets-site join /srv/fedmets hospital-a.kit --fingerprint "3f2a 90bc ... 77d1"
    """
    confirm = _ask_person if fingerprint is None else compare_with(parse_fingerprint(fingerprint))
    joined = join_federation(SiteFolder(site_dir), kit, confirm, _now())
    print(json.dumps({"schema": 1, **asdict(joined)}) if as_json else _as_text(joined))


def renew(site_dir: SiteDir, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Make new keys, and a request for them that is signed with the present ones.

    The present keys stay in use until the kit that answers is joined; the consortium takes both for seven days.

    Example:

    \b
        fedmets-site renew /srv/fedmets
        fedmets-site join /srv/fedmets renewed.kit
    """
    folder = SiteFolder(site_dir)
    passphrase = passphrase_for(folder.joined().identity_key, passphrase_file)
    _print_request(request_renewal(folder, _now(), passphrase), as_json)


def follow(
    site_dir: SiteDir,
    rotations: Annotated[Path, typer.Argument(metavar="ROTATIONS", help="What fedmets-server rotate wrote.")],
    as_json: AsJson = False,
) -> None:
    """Believe the aggregator's new identity, if the one believed today and the authority both vouch for it.

    Example:

    \b
        fedmets-site follow /srv/fedmets rotations.json
    """
    believed = follow_file(SiteFolder(site_dir), rotations, _now())
    identity = identity_of(believed.certificate)
    result = {"schema": 1, "generation": believed.generation, "identity": identity.fingerprint}
    text = f"the aggregator's identity is generation {believed.generation}, key {grouped(identity.fingerprint)}"
    print(json.dumps(result) if as_json else text)


def _ask_person(found: str, is_believed: bool) -> None:
    """Show the fingerprint of an authority that is new here, and ask; refuses where nobody can be asked."""
    if is_believed:
        return
    if not sys.stdin.isatty():
        raise EnrollmentError(
            f"the kit's authority has the fingerprint {grouped(found)}; compare it with the consortium by "
            "telephone and give --fingerprint SHA256, since there is no terminal to ask at"
        )
    print(f"The kit's authority has the fingerprint\n\n    {grouped(found)}\n", file=sys.stderr)
    if not typer.confirm("Does the consortium read out the same one on the telephone?", err=True):
        raise TrustError(TrustCode.WRONG_FINGERPRINT, "not joined and nothing changed; tell the consortium")


def _print_request(made: Requested, as_json: bool) -> None:
    if as_json:
        result = {
            "schema": 1,
            "request": str(made.file),
            "fingerprint": made.fingerprint,
            "new_keys": made.new_keys,
        }
        print(json.dumps(result))
        return
    kept = "" if made.new_keys else "the keys made before are kept, since their kit has not come yet\n"
    print(
        f"{kept}{made.file}: send this to the consortium; it holds no secret\n"
        f"fingerprint to read out when the consortium calls: {grouped(made.fingerprint)}"
    )


def _as_text(joined: Joined) -> str:
    what = "renewed its keys in" if joined.renewed else "joined"
    return f"{joined.site} {what} {joined.federation} at {joined.address}; authority {grouped(joined.fingerprint)}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
