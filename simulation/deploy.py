"""`fedmets-sim deploy`: an aggregator and its hospitals as processes of their own, with TLS between them.

The very commands that a consortium and a hospital run are started, on this machine and its loopback address. What
comes of it lies where `fedmets-sim run` puts it, and the model has the same bits.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from common.durable import commit_folder
from common.errors import FedmetsError
from common.launching import Backoff, Program
from common.supervise import Supervisor
from server.federation import AUDIT_FILE, ROUNDS_FOLDER
from server.plans import KeptPlan
from server.provisioning import ServerFolder
from server.records import run_status
from server.releasing import release_model
from server.rounds import RunResult
from server.run_folder import RunFolder
from server.run_report import report_run
from server.running import begin_run, watch_run
from server.store import RunStore
from server.superlink import executable
from server.up_record import read_up, running_cli
from simulation.config import Experiment
from simulation.deploy_setup import HOST, set_up, site_folder
from simulation.engine import Means
from simulation.sites import Prepared

_UP_WITHIN_S = 180.0
_APPROVAL_DEADLINE_S = 300.0
_POLL_S = 0.5
_GRACE_S = 30.0


def run_deployed(experiment: Experiment, prepared: Prepared, means: Means) -> RunResult:
    """Bring the federation up, run the plan to its end and take everything down again.

    Raises:
        FedmetsError: a process does not come up, or the run is cut off; the logs lie in DIR/deployment/logs.
    """
    server, kept = set_up(experiment, prepared, means)
    run = RunFolder(server, kept.body.plan_id)
    done = report_run(server, kept).round_id
    means.begin_rounds(prepared, done)
    if done < prepared.plan.federation.rounds:
        with _processes(server, prepared, means):
            _run_rounds(server, kept, means, done)
    _bring_home(run, means.folder)
    signed = means.folder / "deployment" / "model"
    release_model(server, kept, signed, server.identity(None), datetime.now(UTC))
    means.progress.note(f"released with the aggregator's signature: {signed}")
    store = RunStore(means.folder / ROUNDS_FOLDER, lambda event, round_id, text: None)
    model, history = store.latest(prepared.plan), store.history()
    if model is None:
        raise FedmetsError(f"{run.path}: the run left no round behind; see {means.folder / 'deployment' / 'logs'}")
    return RunResult(run_status(history, prepared.plan.federation.rounds), model, history)


def _run_rounds(server: ServerFolder, kept: KeptPlan, means: Means, done: int) -> None:
    since = datetime.now(UTC)
    begin_run(server, kept, running_cli(server), _APPROVAL_DEADLINE_S, since)
    store = RunStore(RunFolder(server, kept.body.plan_id).path / ROUNDS_FOLDER, lambda event, round_id, text: None)
    state = reason = ""
    for report in watch_run(server, kept, since, lambda: read_up(server) is not None):
        for record in store.history()[done : report.round_id]:
            means.note_round(record)
        done, state, reason = report.round_id, report.state, report.reason
    if state in ("interrupted", "stopped") or done < kept.plan.federation.rounds:
        raise FedmetsError(f"the run ended after round {done}: {state} {reason}; run the same command to go on")


@contextmanager
def _processes(server: ServerFolder, prepared: Prepared, means: Means) -> Iterator[None]:
    """The aggregator and every hospital's daemon, for as long as the block lasts; ended with all they started."""

    def clock() -> datetime:
        return datetime.now(UTC)

    folder = means.folder / "deployment"
    with Supervisor(folder / "run", lambda event: None, clock) as supervisor:
        supervisor.start(_program("server", ("fedmets-server", "up", str(server.path), "--listen", HOST), folder))
        _wait_until_up(server, supervisor, folder)
        means.progress.note(f"the aggregator is up at {server.federation.address}, TLS; the sites dial in")
        for site in prepared.plan.sites:
            place = site_folder(means.folder, site).path
            supervisor.start(_program(site, ("fedmets-site", "run", str(place)), folder))
        yield


def _wait_until_up(server: ServerFolder, supervisor: Supervisor, folder: Path) -> None:
    end_s = time.monotonic() + _UP_WITHIN_S
    while read_up(server) is None:
        supervisor.poll()
        if time.monotonic() > end_s:
            raise FedmetsError(f"the aggregator did not come up within {_UP_WITHIN_S:g} s; see {folder / 'logs'}")
        time.sleep(_POLL_S)


def _program(name: str, command: tuple[str, ...], folder: Path) -> Program:
    argv = (executable(command[0]), *command[1:])
    log = folder / "logs" / f"{name}.log"
    return Program(name, argv, dict(os.environ), log, backoff=Backoff(), grace_s=_GRACE_S)


def _bring_home(run: RunFolder, folder: Path) -> None:
    """Copy the rounds and their audit log to where `fedmets-sim run` has them."""
    fresh = folder / ".deployed-rounds"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(folder / ROUNDS_FOLDER, ignore_errors=True)  # of an earlier call that was cut off
    shutil.copytree(run.path / ROUNDS_FOLDER, fresh)
    commit_folder(fresh, folder / ROUNDS_FOLDER)
    shutil.copy2(run.path / AUDIT_FILE, folder / AUDIT_FILE)
