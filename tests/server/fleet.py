"""A real SuperLink on the loopback address, sites enrolled with it, and their real SuperNodes."""

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.joining import compare_with, join_federation
from client.requesting import request_enrollment
from client.site_folder import SiteFolder
from common.launching import Launched, Program, launch
from server.enrollment import enroll_site
from server.nodes import reconcile
from server.provisioning import ServerFolder, init_federation
from server.superlink import (
    executable,
    flower_environment,
    free_port,
    is_healthy,
    point_cli,
    superlink_program,
)

START_S = 60.0


def other_address() -> str:
    """An address of this machine that is not the one SuperLink listens at: the network's, or 127.0.0.2."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.2"


def free_port_at(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], seconds: float = START_S) -> bool:
    """Whether it came to hold in time."""
    end_s = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True


@dataclass(frozen=True)
class Fleet:
    """A federation whose SuperLink runs and knows the sites `north` and `south`, but not `west`.

    Attributes:
        host: under which the outside reaches the gateway.
    """

    root: Path
    server: ServerFolder
    host: str
    superlink_port: int

    def site(self, name: str) -> SiteFolder:
        return SiteFolder(self.root / name)


@dataclass(frozen=True)
class SuperNode:
    launched: Launched
    log: Path

    def signed_in(self) -> bool:
        """Whether it got its number within the time that a start may take."""
        wait_until(lambda: "SuperNode ID:" in self.log.read_text() or self.launched.poll() is not None)
        return "SuperNode ID:" in self.log.read_text()

    def exit_code(self) -> int | None:
        wait_until(lambda: self.launched.poll() is not None)
        return self.launched.poll()


@contextmanager
def running(program: Program) -> Iterator[Launched]:
    """A program under its guardian, which ends all of it whatever becomes of the test."""
    launched = launch(program, secrets.token_hex(8))
    try:
        yield launched
    finally:
        launched.kill()


@contextmanager
def supernode(fleet: Fleet, site: str, address: str, authority: Path | None = None) -> Iterator[SuperNode]:
    """A site's SuperNode; `authority` is believed in the place of the federation's."""
    keys = fleet.site(site).joined()
    log = fleet.root / f"{site}.log"
    log.unlink(missing_ok=True)
    argv = [executable("flower-supernode"), "--superlink", address, "--isolation", "process"]
    argv += ["--auth-supernode-private-key", str(keys.node_key), "--port", str(free_port())]
    argv += ["--root-certificates", str(authority or keys.authority)]
    environment = flower_environment(fleet.server, os.environ) | {"NO_PROXY": "*"}
    with running(Program("supernode", tuple(argv), environment, log)) as launched:
        yield SuperNode(launched, log)


@contextmanager
def daemon(site: SiteFolder, settings: str = "", *options: str) -> Iterator[None]:
    """`fedmets-site run` as a hospital starts it, with these lines in its site.toml; ended as systemd ends it."""
    data = f'[data]\nadapter = "ucsf_bmsr"\nroot = "{site.path}"\n'
    (site.path / "site.toml").write_text(f'device = "cpu"\n{settings}\n{data}')
    command = [executable("fedmets-site"), "run", str(site.path), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield
        finally:
            running.terminate()
            running.wait(60)


@contextmanager
def fleet_at(root: Path) -> Iterator[Fleet]:
    now = datetime.now(UTC).replace(microsecond=0)
    host = other_address()
    server = init_federation(root / "fed", "BMFED", (host,), free_port_at(host), now)
    fleet = Fleet(root, server, host, free_port())
    environment = flower_environment(server, os.environ)
    with running(superlink_program(server, fleet.superlink_port, environment)):
        for name in ("north", "south"):
            add_site(fleet, name, now)
        up = wait_until(lambda: is_healthy("127.0.0.1", fleet.superlink_port, server.authority_certificate))
        assert up, (server.path / "flower" / "logs" / "superlink.log").read_text()
        reconcile(server, point_cli(server, fleet.superlink_port, environment), now, relist=False)
        add_site(fleet, "west", now)
        yield fleet


def add_site(fleet: Fleet, name: str, now: datetime) -> None:
    folder, kit = fleet.site(name), fleet.root / f"{name}.kit"
    request_enrollment(folder, name, now)
    enroll_site(fleet.server, folder.request_file, kit, now)
    join_federation(folder, kit, compare_with(fleet.server.authority().fingerprint), now)
