"""`fedmets-server up`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from common.passphrase import given_passphrase
from server.audit_finding import audit_finding
from server.provisioning import open_server
from server.trust_cli import Dir


def add_up_command(app: typer.Typer) -> None:
    """Add up."""
    app.command()(up)


def up(
    folder: Dir,
    listen: Annotated[
        str, typer.Option(help="Address at which the gateway listens; :: takes IPv4 too.")
    ] = "0.0.0.0",
    superlink_port: Annotated[
        int, typer.Option(help="SuperLink's port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    gateway: Annotated[
        bool, typer.Option("--gateway/--no-gateway", help="Without it, put nginx in front of --superlink-port.")
    ] = True,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the passphrase of the identity's key, mode 600; or set FEDMETS_PASSPHRASE_FILE."
        ),
    ] = None,
) -> None:
    """Run the aggregator in the foreground: gateway, SuperLink, SuperExec. Ctrl-C or SIGTERM ends it.

    It says "ready" once sites can connect; where an address or a key cannot be used it ends with 2 instead.
    Programs that end later are started again; sites that are enrolled, suspended or removed meanwhile, and keys
    that are rotated, are taken up within seconds.

    Example:

    \b
        fedmets-server up /srv/bmfed
    """
    opened = open_server(folder)
    opened.server_keys().check_private()
    if opened.server_keys().certificates()[1].not_valid_after_utc < _now():
        _say(f"server TLS certificate: expired; no site can connect; run: fedmets-server rotate {folder}")
    opened.identity(given_passphrase(passphrase_file))  # a ServerApp that cannot sign is better found now
    if (log := audit_finding(opened)).level != "ok":
        _say(log.line)  # runs go on all the same; the commands that write to it will refuse
    from server.up import UpOptions, run_up  # late: it imports Flower, two seconds that the other commands spare

    run_up(opened, UpOptions(listen, superlink_port, gateway, passphrase_file), _now, _say)


def _say(line: str) -> None:
    print(f"{_now():%Y-%m-%d %H:%M:%S} {line}", flush=True)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
