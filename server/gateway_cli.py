"""`fedmets-server nginx`."""

import json
from typing import Annotated

import typer

from common.durable import storage_errors, write_durably
from common.nginx import CONFIG_FILE
from server.nginx import NginxOptions, nginx_configuration, nginx_folder
from server.provisioning import open_server
from server.trust_cli import AsJson, Dir


def add_gateway_commands(app: typer.Typer) -> None:
    """Add nginx."""
    app.command()(nginx)


def nginx(
    folder: Dir,
    superlink_port: Annotated[
        int, typer.Option(help="SuperLink's port on 127.0.0.1, as given to fedmets-server up.", min=1, max=65535)
    ] = 18000,
    client_certificates: Annotated[
        bool,
        typer.Option("--client-certificates", help="Take sites with a certificate only; see fedmets-site nginx."),
    ] = False,
    listen: Annotated[str, typer.Option(help="Address to listen at; the port is the federation's.")] = "0.0.0.0",
    as_json: AsJson = False,
) -> None:
    """Write DIR/nginx/nginx.conf: nginx in the place of the built-in gateway, which production should prefer.

    Run it as the aggregator's own user; it needs no root for a port above 1023. Make the file anew and reload
    nginx after `rotate`; reload it after `remove`.

    Example:

    \b
        fedmets-server nginx /srv/bmfed --superlink-port 18000
        nginx -c /srv/bmfed/nginx/nginx.conf
        fedmets-server up /srv/bmfed --no-gateway --superlink-port 18000
    """
    opened = open_server(folder)
    text = nginx_configuration(opened, NginxOptions(superlink_port, client_certificates, listen))
    place = nginx_folder(opened)
    with storage_errors(opened.path):
        place.mkdir(mode=0o700, exist_ok=True)
    file = place / CONFIG_FILE
    write_durably(file, text.encode())
    print(json.dumps({"schema": 1, "file": str(file)}) if as_json else f"{file}: start it with nginx -c {file}")
