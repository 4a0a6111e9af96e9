"""nginx in the gateway's place by docs/operations.md: started, and made to read new keys and revocations."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.sidecar import node_key_pem
from server.provisioning import init_federation
from server.superlink import LOOPBACK, free_port
from server.up_record import read_up
from tests.end_to_end.guided import blocks
from tests.end_to_end.shown import shown
from tests.server.fleet import Fleet, add_site, wait_until
from tests.server.https import Place, ask, get

BINARIES = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
UP = "fedmets-server up /srv/bmfed --no-gateway --superlink-port 18000"
NGINX, RELOAD = "nginx -c /srv/bmfed/nginx/nginx.conf", "nginx -c FILE -s reload"
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Aggregator:
    """A federation founded in `bmfed`, and what is typed in the folder that holds it."""

    fleet: Fleet

    @property
    def config(self) -> Path:
        return self.fleet.server.path / "nginx" / "nginx.conf"

    def type(self, command: str) -> None:
        done = subprocess.run(
            command.split(),
            cwd=self.fleet.root,
            env={**os.environ, "PATH": BINARIES},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def write_config(self) -> None:
        """The guide's command, for sites with a certificate and this address alone."""
        (command,) = (line for block in blocks() for line in block.commands if " nginx " in line)
        port = str(self.fleet.superlink_port)
        self.type(f"{command.replace('18000', port)} --client-certificates --listen {self.fleet.host}")
        if os.geteuid() == 0:  # whose nginx would give its workers to a user who cannot reach this folder
            self.config.write_text(f"user root;\n{self.config.read_text()}")

    def reload(self) -> None:
        self.type(shown("operations.md", RELOAD, {"FILE": str(self.config)}))

    def place(self) -> Place:
        """The gateway's address, dialled as the one site."""
        server, keys = self.fleet.server, self.fleet.site("north").joined()
        port, authority = server.federation.port, server.authority_certificate
        return Place(self.fleet.host, port, authority, keys.node_certificate, node_key_pem(keys))

    def serial(self) -> object:
        """Of the certificate that the gateway shows."""
        with self.place().dial() as connection:
            return (connection.getpeercert() or {})["serialNumber"]

    def health(self) -> int:
        return ask(self.place(), get("/health"))[0]


@contextmanager
def started(root: Path) -> Iterator[Aggregator]:
    """One site enrolled, and the block's two commands under way."""
    now = datetime.now(UTC).replace(microsecond=0)
    server = init_federation(root / "bmfed", "BMFED", (LOOPBACK,), free_port(), now)
    aggregator = Aggregator(Fleet(root, server, LOOPBACK, free_port()))
    add_site(aggregator.fleet, "north", now)
    aggregator.write_config()
    port = str(aggregator.fleet.superlink_port)
    up = shown("operations.md", UP, {"/srv/bmfed": "bmfed", "18000": port}).split()
    with (
        (root / "up.out").open("wb") as log,
        subprocess.Popen(up, cwd=root, env={**os.environ, "PATH": BINARIES}, stdout=log, stderr=log) as running,
    ):
        try:
            ready = wait_until(lambda: read_up(server) is not None or running.poll() is not None, PATIENCE_S)
            assert ready and running.poll() is None, (root / "up.out").read_text()
            aggregator.type(shown("operations.md", NGINX, {"/srv/bmfed": str(server.path)}))
            yield aggregator
        finally:
            end_nginx(aggregator.config.with_name("nginx.pid"))
            running.terminate()
            running.wait(PATIENCE_S)


def end_nginx(pid_file: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        wait_until(lambda: not pid_file.exists())


@pytest.mark.skipif(shutil.which("nginx", path=BINARIES) is None, reason="no nginx is installed here")
def test_the_aggregator_behind_nginx_by_the_book(tmp_path: Path) -> None:
    with started(tmp_path) as aggregator:
        before = aggregator.serial()
        assert aggregator.health() == 200
        aggregator.type("fedmets-server rotate bmfed")
        aggregator.write_config()
        assert aggregator.serial() == before
        aggregator.reload()
        assert wait_until(lambda: aggregator.serial() != before), "the new certificate is shown after the reload"
        assert wait_until(lambda: aggregator.health() == 200), "SuperLink is back with its new key"
        aggregator.type("fedmets-server remove bmfed north")
        assert aggregator.health() == 200
        aggregator.reload()
        assert wait_until(lambda: aggregator.health() == 400), "the removed site's certificate is refused"
    assert not aggregator.config.with_name("nginx.pid").exists()
