"""The app bundle that Flower carries: thin, without a line of code, the same bytes whenever it is built.

It names the ServerApp and the ClientApp of the fedmets that is installed where they run. Its sha256 stands in the
signed plan; a site acts in no run with another one.
"""

import hashlib
from pathlib import Path

from flwr.cli.build import build_fab_from_disk

from common.durable import storage_errors, write_durably
from common.errors import FedmetsError

_VERSION = "1.0.0"  # of the bundle: what it says, not what it starts
_LICENSE = "Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0\n"
_PROJECT = f"""\
[project]
name = "fedmets-app"
version = "{_VERSION}"
description = "Starts the fedmets that is installed; holds no code"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>=1.41,<1.42"]

[tool.flwr.app]
publisher = "fedmets"
fab-format-version = 1
flwr-version-target = "1.41.0"
fab-include = ["LICENSE"]

[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "client.app:app"

[tool.flwr.app.config]
mode = "train"
plan = ""
approval_deadline_s = 604800.0
"""
_FILES = {"pyproject.toml": _PROJECT, "LICENSE": _LICENSE}


def write_bundle(app: Path) -> str:
    """Write the bundle's sources, for `flwr run`, and return the sha256 of the bundle that comes of them.

    Args:
        app: DIR/flower/app; made when it is not there, and nothing else may lie in it.

    Raises:
        FedmetsError: Flower's builder refuses them.
        StorageError: the folder cannot be written.
    """
    with storage_errors(app.parent):
        app.mkdir(parents=True, exist_ok=True)
        strangers = sorted(path.name for path in app.iterdir() if path.name not in _FILES)
    if strangers:
        raise FedmetsError(f"{app}: holds {', '.join(strangers)}, which is none of the bundle's files; remove it")
    for name, text in _FILES.items():
        if not (app / name).exists() or (app / name).read_bytes() != text.encode():
            write_durably(app / name, text.encode())
    return hashlib.sha256(build_bundle(app)).hexdigest()


def build_bundle(app: Path) -> bytes:
    """The bundle, as Flower's own builder makes it of the sources and as `flwr run` sends it."""
    try:
        return build_fab_from_disk(app)
    except ValueError as error:
        raise FedmetsError(f"{app}: Flower does not take it as an app: {error}") from None
