"""Flower's processes at the aggregator: where their files lie, how they are started, whether they answer.

Everything of Flower's is in DIR/flower: its home and configuration, state.db, logs, the app bundle. SuperLink
listens on the loopback address alone: whoever reaches its port can submit runs.
"""

import http.client
import json
import os
import socket
import sqlite3
import ssl
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from common.allocation import for_carrying
from common.chunks import CHUNKS
from common.durable import storage_errors, write_durably
from common.launching import Backoff, Program
from common.passphrase import VARIABLE
from server.flower_cli import FlowerCli
from server.provisioning import ServerFolder

LOOPBACK = "127.0.0.1"
CONNECTION = "fedmets"
FOLDER_VARIABLE = "FEDMETS_SERVER_DIR"
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_FEWER_LOOKS = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "2"}  # for a new run; every second as Flower has it
_PAGE_BYTES = 65536
_BACKOFF = Backoff(first_s=1.0, factor=2.0, longest_s=60.0)


@dataclass(frozen=True, slots=True)
class FlowerFolder:
    """DIR/flower; absolute, since Flower's processes take its paths as arguments."""

    path: Path

    @property
    def app(self) -> Path:
        """The sources of the app bundle."""
        return self.path / "app"

    @property
    def database(self) -> Path:
        """SuperLink's state."""
        return self.path / "state.db"

    @property
    def nodes(self) -> Path:
        """Which node keys SuperLink was told, under which number."""
        return self.path / "nodes.json"

    def log(self, program: str) -> Path:
        """A program's output."""
        return self.path / "logs" / f"{program}.log"


def flower_folder(folder: ServerFolder) -> FlowerFolder:
    """The folder, made when it is not there; raises StorageError."""
    path = folder.path.resolve() / "flower"
    with storage_errors(folder.path):
        path.mkdir(mode=0o700, exist_ok=True)
    return FlowerFolder(path)


def flower_environment(
    folder: ServerFolder, inherited: Mapping[str, str], passphrase_file: Path | None = None
) -> dict[str, str]:
    """The environment of every process of Flower's.

    Telemetry, update checks and runtime installs are off. SuperExec finds `flwr-serverapp` by PATH, which
    therefore begins with this installation. Loopback is never asked for through a proxy.

    Args:
        folder: the aggregator's; the ServerApp is told it as FEDMETS_SERVER_DIR.
        inherited: ours.
        passphrase_file: passed on as FEDMETS_PASSPHRASE_FILE; None leaves that as it is.
    """
    own_bin = str(flower_folder(folder).path / "bin")  # server/serverapp_main.py puts its command there
    path = os.pathsep.join(part for part in (own_bin, str(_bin()), inherited.get("PATH", os.defpath)) if part)
    own = {"FLWR_HOME": str(flower_folder(folder).path), FOLDER_VARIABLE: str(folder.path.resolve()), "PATH": path}
    for name in ("NO_PROXY", "no_proxy"):
        own[name] = ",".join(part for part in (inherited.get(name, ""), "localhost", LOOPBACK, "::1") if part)
    if passphrase_file is not None:
        own[VARIABLE] = str(passphrase_file.resolve())
    elif VARIABLE in inherited:
        own[VARIABLE] = str(Path(inherited[VARIABLE]).resolve())
    return {**for_carrying(inherited), **_QUIET, **_FEWER_LOOKS, **CHUNKS, **own}


def prepare_database(folder: ServerFolder) -> None:
    """Make SuperLink's database with SQLite's largest pages, where there is none yet; SuperLink fills it.

    It holds pieces of models of several megabytes, which small pages cut into thousands of parts; and SQLite
    copies its log into the file every 1,000 pages, with two calls of fsync: every 64 MB instead of every 4.

    Raises:
        StorageError: the folder cannot be written.
    """
    database = flower_folder(folder).database
    if database.exists():
        return
    with storage_errors(database.parent):
        try:
            with closing(sqlite3.connect(database)) as connection:
                connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                connection.execute("VACUUM")  # writes the first page, and with it the size
        except sqlite3.Error as error:
            raise OSError(f"{database}: {error}") from None


def superlink_program(folder: ServerFolder, port: int, environment: Mapping[str, str]) -> Program:
    """flower-superlink with the server's present loopback keys, as `server_keys` gives them now."""
    flower, (certificate, key) = flower_folder(folder), folder.server_keys().loopback
    arguments = {
        "--host": LOOPBACK,
        "--port": str(port),
        "--ssl-ca-certfile": str(folder.authority_certificate.resolve()),
        "--ssl-certfile": str(certificate.resolve()),
        "--ssl-keyfile": str(key.resolve()),
        "--database": f"sqlite:///{quote(os.fsencode(flower.database))}",  # a bare path with % or ? names another
        "--isolation": "process",
    }
    argv = [sys.executable, "-P", "-m", "server.superlink_main"]
    argv += [part for pair in arguments.items() for part in pair]
    argv += ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    return Program("superlink", tuple(argv), environment, flower.log("superlink"), backoff=_BACKOFF)


def superexec_program(folder: ServerFolder, port: int, environment: Mapping[str, str]) -> Program:
    """flower-superexec, which starts the ServerApp of a submitted run."""
    authority = str(folder.authority_certificate.resolve())
    address = f"{LOOPBACK}:{port}"
    argv = (executable("flower-superexec"), "--runtime-api-address", address, "--root-certificates", authority)
    return Program("superexec", argv, environment, flower_folder(folder).log("superexec"), backoff=_BACKOFF)


def point_cli(folder: ServerFolder, port: int, environment: Mapping[str, str]) -> FlowerCli:
    """Write the configuration of the `flwr` command for this SuperLink and return the command."""
    authority = json.dumps(str(folder.authority_certificate.resolve()))  # JSON's strings are TOML's as well
    lines = (
        "[superlink]",
        f'default = "{CONNECTION}"',
        f"[superlink.{CONNECTION}]",
        f'address = "{LOOPBACK}:{port}"',
        f"root-certificates = {authority}",
    )
    flower = flower_folder(folder)
    write_durably(flower.path / "config.toml", ("\n".join(lines) + "\n").encode())
    return FlowerCli(executable("flwr"), flower.path, environment)


def is_healthy(address: str, port: int, authority: Path, timeout_s: float = 2.0) -> bool:
    """Whether GET /health at an address of this machine answers 200, under a certificate of the authority."""
    try:
        context = ssl.create_default_context(cafile=str(authority))
        with (
            socket.create_connection((address, port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
            connection.sock = secured
            connection.request("GET", "/health", headers={"Connection": "close"})
            return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def free_port() -> int:
    """A port of the loopback address that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def executable(name: str) -> str:
    """A command of the same installation as the running Python; never what PATH finds."""
    return str(_bin() / name)


def _bin() -> Path:
    return Path(sys.executable).parent
