"""The site's SuperNode: how it is started, what it may see, and how it stands, read from its log.

It faces the network, so it gets as little as it needs: the node's key, the authority's certificate and the secret
that it shares with the worker. With `supernode_user` it has copies of these three in SITE_DIR/supernode, a folder
of that user's own, for as long as the daemon runs.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from client.network_user import NetworkUser, can_start, network_user, require_reach
from client.site_config import SiteConfig
from client.site_folder import KeyFolder
from common.allocation import for_carrying
from common.durable import storage_errors
from common.launching import Backoff, Program

NAME = "supernode"
LOOPBACK = "127.0.0.1"
# SuperLink refuses a node that it believes to be connected, for 60 s after it last heard of it.
BACKOFF = Backoff(first_s=65.0, factor=1.5, longest_s=300.0)
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
_MAIN = ("-P", "-m", "client.supernode_main")
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "GLIBC_TUNABLES")
_LOG_TAIL_BYTES = 64_000
_CLEAR_S = 60.0
_STARTING = "Starting Flower SuperNode"  # Flower's words, and before them those of client/supernode_main.py
_LONG_AGO = f"{_STARTING}\nSuperNode ID: further up\n"  # of a log whose last start is not within its end any more
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What the SuperNode reads."""

    node_key: Path
    authority: Path
    secret: Path
    home: Path


def node_files(
    site_dir: Path, keys: KeyFolder, secret: Path, user: str | None, authority: Path | None = None
) -> NodeFiles:
    """The files themselves; or copies, made anew, that `user` alone may read.

    `authority` is whom the SuperNode believes, where that is not the federation's but a local nginx's certificate.

    Raises:
        UserError: no such user, or no right to become it.
        StorageError: the copies cannot be written.
    """
    clear_copies(site_dir)
    believed = authority or keys.authority
    if user is None:
        home = site_dir / "run" / "flower"
        with storage_errors(site_dir):
            home.mkdir(parents=True, exist_ok=True)
        return NodeFiles(keys.node_key, believed, secret, home)
    folder = copies_folder(site_dir)
    files = NodeFiles(folder / "node", folder / "authority.crt", folder / "secret", folder / "flower")
    copies = {files.node_key: keys.node_key, files.authority: believed, files.secret: secret}
    _copy_for(network_user(user), folder, copies, files.home)
    return files


def copies_folder(site_dir: Path) -> Path:
    """Where another user finds what it was given."""
    return site_dir / "supernode"


def clear_copies(site_dir: Path) -> None:
    """Remove what another user was given, if there is anything and we may.

    By `rm`: that user may have put folders within folders there, deeper than Python goes.
    """
    folder = copies_folder(site_dir)
    if folder.exists():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                ("/bin/rm", "-rf", "--", str(folder)), capture_output=True, timeout=_CLEAR_S, check=False
            )


def can_run_as(user: NetworkUser, site_dir: Path, inherited: Mapping[str, str], limit_s: float = 20.0) -> bool:
    """Try whether a SuperNode can be started as this user, in this folder; False when that takes too long to say.

    Args:
        user: of the process that faces the network.
        site_dir: the site's folder.
        inherited: our own environment.
        limit_s: how long it may take to say its version.

    Raises:
        UserError: what is closed to the user, and what to do.
    """
    require_reach(user, site_dir)
    argv = (sys.executable, *_MAIN, "--version")
    return can_start(user, argv, Path(__file__), {**_environment(inherited), "HOME": "/"}, limit_s)


def _copy_for(user: NetworkUser, folder: Path, copies: Mapping[Path, Path], home: Path) -> None:
    """Fill a new folder and give it away last: before that its user could put links in our way."""
    with storage_errors(folder):
        folder.mkdir(mode=0o700)
        home.mkdir(mode=0o700)
        os.chown(home, user.uid, user.gid)
        for copy, source in copies.items():
            handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(source.read_bytes())
                os.fchown(handle, user.uid, user.gid)
        os.chown(folder, user.uid, user.gid)


def supernode_program(
    address: str, port: int, files: NodeFiles, config: SiteConfig, log: Path, inherited: Mapping[str, str]
) -> Program:
    """flower-supernode for one site.

    Args:
        address: HOST:PORT of the gateway.
        port: of its Runtime API, on the loopback address.
        files: what it reads.
        config: says the proxy and the user.
        log: takes its output.
        inherited: our own environment, of which it gets a few variables and no proxy but the site's.
    """
    arguments = {
        "--superlink": address,
        "--root-certificates": str(files.authority),
        "--auth-supernode-private-key": str(files.node_key),
        "--superexec-auth-secret-file": str(files.secret),
        "--isolation": "process",
        "--host": LOOPBACK,
        "--port": str(port),
    }
    argv = (sys.executable, *_MAIN, *(part for pair in arguments.items() for part in pair))
    environment = _environment(inherited) | {
        "FLWR_HOME": str(files.home),
        "HOME": str(files.home),
        "PYTHONUNBUFFERED": "1",
    }
    if config.proxy is not None:
        environment["HTTPS_PROXY"] = config.proxy
    return Program(NAME, argv, environment, log, config.supernode_user, BACKOFF)


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The few variables of ours that it gets, and what keeps it quiet."""
    return for_carrying({name: inherited[name] for name in _KEPT if name in inherited}) | _QUIET


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """How the SuperNode stands with the aggregator.

    Attributes:
        connected: it signed in and nothing is known against it since.
        words: for people, with what to do.
        lost_message: of which it gives out a task whose content will never come, and then waits for the reply; the
            newest one's number, empty when there is none.
        mute: it runs and asks for messages, and no longer says that it is alive, so that the aggregator takes it
            for gone.
    """

    connected: bool
    words: str
    lost_message: str = ""
    mute: bool = False


# Said when a run ends while its message is on the way, as when the aggregator was killed. Flower has made a task
# of the message by then, and neither takes it back nor ever has its content.
_LOST = re.compile(r"Ignoring message ([0-9a-f]+)")
# Python's own words. The thread that says that the node is alive ends at an answer that it does not foresee, such
# as a 500 of a SuperLink whose disk is full, and nothing starts it again.
_DEAD_THREAD = "Exception in thread"
_MUTE_WORDS = (
    "the aggregator answered its sign of life with an error, after which it sends no more; it is started anew, "
    "and if this comes again, tell the consortium"
)
_REASONS = (
    (
        "[code: 2004]",
        "the aggregator does not let this site in: its key is not registered there (suspended, removed, or not "
        "yet known), or its last connection broke off less than a minute ago; if it stays so, ask the consortium",
    ),
    (
        "certificate has expired",  # OpenSSL's words, within those of the next line
        "the gateway's certificate has expired, or this machine's clock is wrong: run fedmets-site check; if the "
        "clock is right, the consortium must run fedmets-server rotate, and nothing has to be done here",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "whoever answers at the gateway's address has no certificate of this federation: a proxy that opens TLS, "
        "or another server; run fedmets-site check",
    ),
    (
        "Exit Code: 606",
        "the aggregator runs another version of Flower; install the same version of fedmets on both sides",
    ),
    ("407 Proxy", "the proxy wants a user and a password: write them into proxy in site.toml"),
    ("address already in use", "its port on this machine is taken; choose another supernode_port in site.toml"),
    (
        "SuperNode terminated gracefully",
        "the aggregator refused its signature: the site was suspended or removed, or this machine's clock is "
        "wrong; run fedmets-site check",
    ),
)


# "Connection successful", "Received successfully", "Sent successfully": what went wrong before is over.
_SUCCEEDED = "successful"


def standing_in(log: str) -> NodeStanding:
    """What the log's last start says."""
    text = _COLOURS.sub("", log[log.rfind(_STARTING) :]) if _STARTING in log else ""
    return replace(_standing(text), lost_message=(_LOST.findall(text) or [""])[-1])


def _standing(text: str) -> NodeStanding:
    for sign, words in _REASONS:
        if sign in text and _SUCCEEDED not in text[text.rfind(sign) :]:
            return NodeStanding(False, words)
    if _DEAD_THREAD in text:
        return NodeStanding(False, _MUTE_WORDS, mute=True)
    if "Exit Code:" in text or "Traceback" in text:
        last = [line.strip() for line in text.splitlines() if line.strip()]
        return NodeStanding(False, f"it ended with an error: {' '.join(last[-3:])[:200]}")
    away, back = text.rfind("Connection attempt failed"), text.rfind("Connection successful")
    if away > back:
        return NodeStanding(False, "the gateway does not answer; it goes on trying, fedmets-site check looks why")
    if "SuperNode ID:" in text:
        return NodeStanding(True, "connected to the aggregator")
    return NodeStanding(False, "signing in" if text else "not started")


def read_standing(log: Path, started_at: datetime | None = None) -> NodeStanding:
    """As `standing_in`, of the end of the log's file.

    Args:
        log: takes the output of one SuperNode after the other.
        started_at: of the one that runs now, which may not have said a word yet: what was written before are then
            another's last words, such as those of a clean stop. None where none runs.
    """
    try:
        with log.open("rb") as file:
            if started_at is not None and os.fstat(file.fileno()).st_mtime < started_at.timestamp():
                return standing_in(_STARTING)
            begin = file.seek(max(file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES, 0))
            tail = file.read().decode(errors="replace")
            return standing_in(tail if _STARTING in tail or not begin else _LONG_AGO + tail)
    except OSError:
        return NodeStanding(False, "not started")
