"""What a trial of plain Flower needs on disk: app, certificates, connection; and its command lines."""

import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.certificates import Holder, Role, pem_of
from server.authority import create_issuer, issue
from server.flower_cli import FlowerCli
from server.superlink import CONNECTION, LOOPBACK, executable, free_port

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_PROJECT = """\
[project]
name = "plain-app"
version = "1.0.0"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>=1.41,<1.42"]

[tool.flwr.app]
publisher = "fedmets"
fab-format-version = 1
flwr-version-target = "1.41.0"
fab-include = ["LICENSE", "plain_app/**/*.py"]

[tool.flwr.app.components]
serverapp = "plain_app.server_app:app"
clientapp = "plain_app.client_app:app"

[tool.flwr.app.config]
sites = {sites}
rounds = {rounds}
model = {model}
lines = {lines}
"""


@dataclass(frozen=True, slots=True)
class Scratch:
    """The trial's folder, and the port of its SuperLink."""

    path: Path
    port: int
    mark: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def app(self) -> Path:
        """The sources of the app."""
        return self.path / "app"

    @property
    def model(self) -> Path:
        """The initial weights."""
        return self.path / "model.safetensors"

    @property
    def lines(self) -> Path:
        """What the ServerApp writes, a line a round."""
        return self.path / "rounds.jsonl"

    @property
    def authority(self) -> Path:
        """The certificate that TLS is checked against."""
        return self.path / "ca.crt"

    def log(self, program: str) -> Path:
        """A program's output."""
        return self.path / "logs" / f"{program}.log"

    def environment(self) -> dict[str, str]:
        """Of every process of Flower's; they find each other on PATH."""
        path = os.pathsep.join((str(Path(executable("flwr")).parent), os.environ.get("PATH", os.defpath)))
        direct = dict.fromkeys(("NO_PROXY", "no_proxy"), f"localhost,{LOOPBACK}")
        return {**os.environ, **_QUIET, **direct, "FLWR_HOME": str(self.path), "PATH": path}

    def cli(self) -> FlowerCli:
        """The `flwr` command for this SuperLink."""
        return FlowerCli(executable("flwr"), self.path, self.environment())


def write_app(scratch: Scratch, sites: int, rounds: int) -> None:
    """The app as `flwr run` takes it, told the number of sites and rounds, and where SuperLink is."""
    source = Path(__file__).with_name("plain_app")
    shutil.copytree(source, scratch.app / "plain_app", ignore=shutil.ignore_patterns("__pycache__"))
    project = _PROJECT.format(
        sites=sites, rounds=rounds, model=json.dumps(str(scratch.model)), lines=json.dumps(str(scratch.lines))
    )
    (scratch.app / "pyproject.toml").write_text(project, encoding="utf-8")
    (scratch.app / "LICENSE").write_text("Apache-2.0\n", encoding="utf-8")
    connection = (
        f'address = "{LOOPBACK}:{scratch.port}"\nroot-certificates = {json.dumps(str(scratch.authority))}\n'
    )
    home = f'[superlink]\ndefault = "{CONNECTION}"\n[superlink.{CONNECTION}]\n{connection}'
    (scratch.path / "config.toml").write_text(home, encoding="utf-8")


def write_certificates(scratch: Scratch) -> None:
    """An authority for this trial alone, and a certificate for loopback."""
    now = datetime.now(UTC)
    issuer, key = create_issuer("bench", now), ec.generate_private_key(ec.SECP384R1())
    holder = Holder("bench", Role.GATEWAY, "superlink")
    certificate = issue(issuer, holder, key.public_key(), now, (LOOPBACK, "localhost"))
    scratch.authority.write_text(pem_of(issuer.certificate), encoding="ascii")
    (scratch.path / "server.crt").write_text(pem_of(certificate), encoding="ascii")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (scratch.path / "server.key").write_bytes(private)


def superlink_argv(scratch: Scratch) -> tuple[str, ...]:
    """SuperLink as Flower's guide for TLS starts it."""
    listen = ("--host", LOOPBACK, "--port", str(scratch.port))
    certificate = ("--ssl-certfile", str(scratch.path / "server.crt"))
    key = ("--ssl-keyfile", str(scratch.path / "server.key"))
    return (
        executable("flower-superlink"),
        *listen,
        "--ssl-ca-certfile",
        str(scratch.authority),
        *certificate,
        *key,
    )


def supernode_argv(scratch: Scratch, port: int, number: int) -> tuple[str, ...]:
    """The SuperNode of this number, counted from 0; it reaches SuperLink at the port, directly or by a relay."""
    link = ("--superlink", f"{LOOPBACK}:{port}", "--root-certificates", str(scratch.authority))
    own = ("--host", LOOPBACK, "--port", str(free_port()), "--node-config", f"partition-id={number}")
    return (executable("flower-supernode"), *link, *own)
