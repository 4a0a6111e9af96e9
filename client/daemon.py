"""The hospital's daemon: keeps the SuperNode and the worker running until it is told to stop.

Two programs, because one faces the network and the other the patients' data. They are ended whole, and neither
outlives the daemon (common/supervise.py). What lies where:

SITE_DIR/run/     supervisor.json for `status`, the lock, the secret that SuperNode and worker share
SITE_DIR/logs/    daemon.log, supernode.log, worker.log; they stay in the house
"""

import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client import supernode
from client.journal import require_log
from client.network_user import network_user
from client.server_trust import open_site
from client.sidecar import loopback_certificate
from client.site_config import SITE_FILE, SiteConfig, load_site_config
from client.site_folder import KeyFolder, SiteFolder
from client.supernode import can_run_as, clear_copies, node_files, read_standing, supernode_program
from common.allocation import for_carrying
from common.chunks import CHUNKS
from common.durable import storage_errors
from common.errors import FedmetsError, UserError
from common.keyfiles import forget_private_file, write_private_file
from common.launching import Program
from common.passphrase import given_passphrase
from common.processes import send
from common.stopping import StopSignals
from common.supervise import EventKind, ProgramEvent, Supervisor

log = logging.getLogger(__name__)
RUN_FOLDER = "run"
LOG_FOLDER = "logs"
WORKER = "worker"
DRAIN_S = 60.0
DELIVERY_S = 30.0
STOPPING_S = DRAIN_S + DELIVERY_S + 10.0  # systemd's TimeoutStopSec must be longer
_POLL_S = 0.2
_LOOK_AT_LOG_S = 1.0
_LOOK_FOR_KEYS_S = 10.0
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Daemon:
    """What stays the same for as long as the daemon runs.

    Attributes:
        folder: the site's.
        config: site.toml as it was at the start.
        address: of the gateway.
        port: of the SuperNode's Runtime API, on the loopback address.
        secret: file that SuperNode and worker share.
        passphrase_file: of the identity key; None when it is not locked.
        environment: our own.
        authority: whom the SuperNode believes; None for the federation's authority.
    """

    folder: SiteFolder
    config: SiteConfig
    address: str
    port: int
    secret: Path
    passphrase_file: Path | None
    environment: Mapping[str, str]
    authority: Path | None = None

    def node(self, keys: KeyFolder) -> Program:
        """The SuperNode with these keys."""
        files = node_files(self.folder.path, keys, self.secret, self.config.supernode_user, self.authority)
        path = log_file(self.folder, supernode.NAME)
        return supernode_program(self.address, self.port, files, self.config, path, self.environment)

    def worker(self) -> Program:
        """The worker; on the loopback nothing goes through a proxy."""
        environment = {key: value for key, value in self.environment.items() if key.lower() not in _PROXIES}
        environment = {**for_carrying(environment), **CHUNKS}
        address = f"{supernode.LOOPBACK}:{self.port}"
        argv = [sys.executable, "-P", "-m", "client.worker", str(self.folder.path)]
        argv += ["--address", address, "--secret-file", str(self.secret)]
        argv += ["--drain-s", f"{DRAIN_S:g}", "--delivery-s", f"{DELIVERY_S:g}"]
        if self.passphrase_file is not None:
            argv += ["--passphrase-file", str(self.passphrase_file.resolve())]
        return Program(WORKER, tuple(argv), environment, log_file(self.folder, WORKER), grace_s=STOPPING_S)


def run_daemon(
    site_dir: Path,
    stops: StopSignals,
    environment: Mapping[str, str],
    passphrase_file: Path | None = None,
    sidecar_port: int | None = None,
) -> None:
    """Run a joined site until a stop signal; the task in hand is finished first, for a minute at most.

    Args:
        site_dir: the site's folder.
        stops: says when to end.
        environment: our own.
        passphrase_file: of a locked identity key.
        sidecar_port: of the local nginx that adds the site's certificate (fedmets-site nginx); None dials the
            gateway itself.

    Raises:
        EnrollmentError, KeyFileError, TrustError: the site has not joined, or its keys cannot be used.
        ConfigError: site.toml cannot be used.
        UserError: both a sidecar and a proxy; the SuperNode cannot be run as the user that site.toml names.
        OutputError: the folder's daemon runs already.
        AuditBroken: the site's log was altered; says what to do.
        StorageError: the folder cannot be written.
    """
    folder = SiteFolder(site_dir.resolve())
    trust = open_site(folder, given_passphrase(passphrase_file))
    config = load_site_config(folder.path)
    if sidecar_port is not None and config.proxy is not None:
        raise UserError(
            f"{folder.path / SITE_FILE}: proxy does not go with --sidecar: nginx dials the gateway itself, and no "
            "proxy leads to this machine's loopback; leave one of the two out"
        )
    if config.supernode_user is not None:
        can_run_as(network_user(config.supernode_user), folder.path, environment)  # raises where it cannot
    require_log(folder, datetime.now(UTC))  # later every task would be lost for want of it, and nobody here told
    run = folder.path / RUN_FOLDER
    ends: list[str] = []

    def tell(event: ProgramEvent) -> None:
        log.info("%s", event)
        if event.kind is EventKind.ENDED:
            ends.append(event.program)

    with Supervisor(run, tell, lambda: datetime.now(UTC)) as supervisor:
        port = config.supernode_port or _free_port()
        address, authority = trust.kit.address, None
        if sidecar_port is not None:
            address, authority = f"{supernode.LOOPBACK}:{sidecar_port}", loopback_certificate(folder)
        secret = _new_secret(run)
        daemon = Daemon(folder, config, address, port, secret, passphrase_file, environment, authority)
        watch = _Watch(daemon, supervisor, folder.joined())
        try:
            supervisor.start(daemon.node(watch.keys))
            supervisor.start(daemon.worker())
            log.info("%s is up for %s at %s", trust.kit.site, trust.kit.federation, trust.kit.address)
            while not stops.wait(_POLL_S):
                supervisor.poll()
                watch.look(ends)
                ends.clear()
            log.info("stopping: the task in hand may take %.0f s more", DRAIN_S)
        finally:
            try:
                supervisor.stop_all()
            finally:
                clear_copies(folder.path)  # while the folder is locked: the next daemon's are not ours to remove
    log.info("stopped")


class _Watch:
    """What the daemon does beside keeping its programs alive."""

    def __init__(self, daemon: Daemon, supervisor: Supervisor, keys: KeyFolder) -> None:
        self.keys = keys
        self._daemon, self._supervisor = daemon, supervisor
        self._log = log_file(daemon.folder, supernode.NAME)
        self._words = ""
        self._freed_of = ""
        self._node_pids: list[int] = []
        self._node_has_spoken = False
        self._owes_node = False
        self._log_due_s = time.monotonic()
        self._keys_due_s = self._log_due_s + _LOOK_FOR_KEYS_S

    def look(self, ended: list[str]) -> None:
        """Act on what ended since the last look, on new keys, and tell of a change in the connection."""
        if time.monotonic() >= self._log_due_s:
            self._log_due_s = time.monotonic() + _LOOK_AT_LOG_S
            self._look_at_log()
            if self._owes_node:  # as on a disk that was full
                self._replace_node(self.keys)
        if WORKER in ended and self._is_running(supernode.NAME):
            log.warning("the worker died; the SuperNode, which may wait for its reply for ever, is started anew")
            self._replace_node(self.keys)
        if time.monotonic() >= self._keys_due_s:
            self._keys_due_s = time.monotonic() + _LOOK_FOR_KEYS_S
            keys = self._daemon.folder.in_use()
            if keys is not None and keys != self.keys:
                log.info("the site's keys were renewed; the SuperNode takes the new one")
                self._replace_node(keys)

    def _replace_node(self, keys: KeyFolder) -> None:
        try:
            self._supervisor.replace(self._daemon.node(keys))
            self.keys, self._owes_node = keys, False
        except FedmetsError as error:
            if not self._owes_node:
                log.error("the SuperNode cannot be started anew, which is tried again: %s", error)
            self._owes_node = True

    def _is_running(self, name: str) -> bool:
        return any(one.name == name and one.state == "running" for one in self._supervisor.programs())

    def _pids_of(self, name: str) -> list[int]:
        programs = self._supervisor.programs()
        return [one.process.pid for one in programs if one.name == name and one.process is not None]

    def _node_started_at(self) -> datetime | None:
        programs = self._supervisor.programs()
        return next((one.since for one in programs if one.name == supernode.NAME and one.state == "running"), None)

    def _look_at_log(self) -> None:
        standing = read_standing(self._log, self._node_started_at())
        if standing.words != self._words:
            self._words = standing.words
            log.info("supernode: %s", standing.words)
        if standing.lost_message not in ("", self._freed_of):
            self._freed_of = standing.lost_message
            log.warning("a task was lost on its way, for which the worker would wait for hours: it is killed")
            send(self._pids_of(WORKER), signal.SIGKILL)
        self._look_for_mute_node(standing.mute)

    def _look_for_mute_node(self, is_mute: bool) -> None:
        """Start a mute one anew; until a new one has spoken, the log's last words are those of the one before."""
        pids = self._pids_of(supernode.NAME)
        if pids != self._node_pids:
            self._node_pids, self._node_has_spoken = pids, False
        elif not is_mute:
            self._node_has_spoken = True
        elif pids and self._node_has_spoken:
            log.warning("the SuperNode no longer says that it is alive; it is started anew")
            self._replace_node(self.keys)


def log_file(folder: SiteFolder, program: str) -> Path:
    """Where a program's output goes."""
    return folder.path / LOG_FOLDER / f"{program}.log"


def _new_secret(run: Path) -> Path:
    """A new secret for this life of the daemon, 256 bits."""
    path = run / "supernode.secret"
    with storage_errors(run):
        forget_private_file(path)
        write_private_file(path, secrets.token_hex(32).encode())
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((supernode.LOOPBACK, 0))
        return int(probe.getsockname()[1])
