"""flwr-serverapp as installed, except that it takes no other app than the bundle of this fedmets.

Flower gives no app bundle a signature that a consortium of its own could check, and whoever reaches SuperLink's
loopback port can submit one: its code would run as the aggregator's user, beside the keys. SuperExec finds this
in the place of Flower's command (DIR/flower/bin comes first on its PATH) and a strange bundle ends here, unopened.
What else it could be asked to start is refused altogether. And the sites' answers are read from SuperLink's
database (server/local_objects.py).
"""

import hashlib
import importlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from common.durable import storage_errors, write_durably
from common.errors import FedmetsError, UserError
from server.bundle import write_bundle
from server.local_objects import read_from_disk
from server.provisioning import ServerFolder, open_server
from server.superlink import FOLDER_VARIABLE, flower_folder

COMMAND = "flwr-serverapp"
OTHER_COMMANDS = ("flwr-agentapp", "flwr-clientapp", "flwr-connector", "flwr-model", "flwr-simulation")
_RUNNER = "flwr.superlink.runtime.run_serverapp"
Install = Callable[..., Any]


def put_on_path(folder: ServerFolder) -> Path:
    """Write DIR/flower/bin, whose flwr-serverapp starts this module, and return it.

    Raises:
        UserError: the folder's path cannot stand on a PATH: Flower's own command would be found instead.
        StorageError: the folder cannot be written.
    """
    place = flower_folder(folder).path / "bin"
    if os.pathsep in str(place):
        raise UserError(
            f"{folder.path.resolve()}: a path with '{os.pathsep}' cannot stand on PATH; move the folder"
        )
    scripts = {
        name: f"#!/bin/sh\necho '{name} is not for this aggregator' >&2\nexit 1\n" for name in OTHER_COMMANDS
    }
    scripts[COMMAND] = f'#!/bin/sh\nexec "{sys.executable}" -P -m server.serverapp_main "$@"\n'
    with storage_errors(place):
        place.mkdir(mode=0o700, exist_ok=True)
        for name, text in scripts.items():
            write_durably(place / name, text.encode())
            (place / name).chmod(0o700)
    return place


def only_ours(install: Install, bundle_sha256: str) -> Install:
    """Flower's installing of a bundle, for this bundle alone; the call raises FedmetsError for any other."""

    def checked(content: bytes, *arguments: Any, **options: Any) -> Any:
        found = hashlib.sha256(content).hexdigest()
        if found != bundle_sha256:
            raise FedmetsError(
                f"a run with the app bundle {found[:12]} was submitted; only {bundle_sha256[:12]}, fedmets' own, "
                "is started here. Find out who can reach SuperLink's port on this machine"
            )
        return install(content, *arguments, **options)

    return checked


def main() -> None:
    """Run the command with our arguments."""
    flower = flower_folder(open_server(Path(os.environ[FOLDER_VARIABLE])))
    bundle_sha256 = write_bundle(flower.app)
    read_from_disk(flower.database)
    (command,) = entry_points(group="console_scripts", name=COMMAND)
    start = command.load()
    importlib.import_module(_RUNNER)
    runner = sys.modules[_RUNNER]  # the package has a function of the same name
    runner.install_from_fab = only_ours(runner.install_from_fab, bundle_sha256)  # type: ignore[attr-defined]
    sys.argv[0] = COMMAND
    start()


if __name__ == "__main__":
    main()
