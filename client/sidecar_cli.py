"""`fedmets-site nginx`."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from client.sidecar import DEFAULT_PORT, make_sidecar
from client.site_folder import SiteFolder
from client.trust_cli import AsJson, SiteDir


def add_sidecar_commands(app: typer.Typer) -> None:
    """Add nginx."""
    app.command()(nginx)


def nginx(
    site_dir: SiteDir,
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1 for SuperNode to dial.", min=1, max=65535)
    ] = DEFAULT_PORT,
    as_json: AsJson = False,
) -> None:
    """Write SITE_DIR/sidecar/nginx.conf: a local nginx that shows this site's certificate to the gateway.

    Needed only where the consortium asks for client certificates. nginx cannot go through an HTTPS proxy. The
    node's key is written once more, in the form that nginx reads, with mode 600 beside the other one. Make the
    file anew and reload nginx after a renewal.

    Example:

    \b
        fedmets-site nginx /srv/fedmets
        nginx -c /srv/fedmets/sidecar/nginx.conf
    """
    made = make_sidecar(SiteFolder(site_dir), port, datetime.now(UTC).replace(microsecond=0))
    if as_json:
        told = {"address": made.address, "root_certificate": str(made.root_certificate)}
        print(json.dumps({"schema": 1, "file": str(made.config), **told}))
    else:
        print(
            f"{made.config}: start it with nginx -c {made.config}\n"
            f"then run: fedmets-site run {site_dir} --sidecar {port}"
        )
