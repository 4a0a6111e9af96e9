"""`fedmets-site run` and `fedmets-site status`."""

import logging
import logging.handlers
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from client.daemon import log_file, run_daemon
from client.daemon_status import as_text, site_status
from client.site_folder import SiteFolder
from client.trust_cli import AsJson, PassphraseFile, SiteDir
from common.durable import storage_errors
from common.stopping import stop_signals

_LOG_BYTES = 5_000_000


def add_run_commands(app: typer.Typer) -> None:
    """Add run and status."""
    for command in (run, status):
        app.command()(command)


def run(
    site_dir: SiteDir,
    passphrase_file: PassphraseFile = None,
    sidecar: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Dial the local nginx of `fedmets-site nginx`, which listens there."),
    ] = None,
) -> None:
    """Run this hospital's daemon until SIGTERM or Ctrl-C.

    It dials the consortium's gateway and nothing else, and works on tasks of plans that were approved here.
    A stop lets the task in hand finish, for a minute at most.
    What happens is told here and in SITE_DIR/logs, which stays in the house.

    Example:

    \b
        fedmets-site run /srv/fedmets
    """
    _log_to(log_file(SiteFolder(site_dir), "daemon"))
    with stop_signals() as stops:
        run_daemon(site_dir, stops, os.environ, passphrase_file, sidecar)


def status(site_dir: SiteDir, as_json: AsJson = False) -> None:
    """Tell what runs, since when, and what the last task and the last reply were.

    Example:

    \b
        fedmets-site status /srv/fedmets
    """
    now = datetime.now(UTC)
    found = site_status(SiteFolder(site_dir), now)
    print(found.to_json() if as_json else as_text(found, now))


def _log_to(file: Path) -> None:
    """Tell of the daemon here and in its log, whatever else is kept quiet."""
    with storage_errors(file.parent):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = logging.handlers.RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=1)
    logging.disable(logging.NOTSET)
    daemon = logging.getLogger("client.daemon")
    daemon.setLevel(logging.INFO)
    daemon.propagate = False
    for handler in (kept, logging.StreamHandler()):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        daemon.addHandler(handler)
