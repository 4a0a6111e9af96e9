"""One trial of fedmets' own transport: a federation of real processes whose sites train nothing.

The aggregator is `fedmets-server up` as deployed; every site is a SuperNode and a worker as its daemon starts
them, the desk included (signature, approval, freshness, audit, encoding), with updates at hand in the trainer's
place. One round to warm up is not counted.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from client.daemon import Daemon
from common.audit import read_audit
from common.compression import Encoding
from common.errors import FedmetsError
from common.launching import Launched, Program, launch
from common.plan import ModelSpec, TrainingSpec
from server.federation import AUDIT_FILE, ROUNDS_FOLDER
from server.plans import KeptPlan
from server.provisioning import ServerFolder
from server.records import RoundRecord
from server.run_folder import RunFolder
from server.run_report import report_run
from server.running import begin_run
from server.store import RunStore
from server.superlink import CONNECTION, LOOPBACK, executable
from server.up_record import UpRecord, read_up, running_cli
from simulation.bench.idle_site import TIMES_FILE
from simulation.bench.process_figures import ProcessFigures, ProcessWatch, idle_s
from simulation.bench.relay import CountingRelay
from simulation.bench.transport_figures import Marks, TransportTrial, trial_of
from simulation.bench.transport_setup import IdleSite, found_federation, plan_of

_UP_WITHIN_S = 120.0
_APPROVE_WITHIN_S = 120.0
_GRACE_S = 30.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """What one trial is of.

    Attributes:
        rounds: after one to warm up.
        gateway: whether sites reach SuperLink through it, as deployed, or directly.
        round_within_s: a round that takes longer fails the trial.
        count_bytes: send the sites' connections through a counting relay, which disturbs the seconds.
        worker: the module that each site's worker is; it is given what `idle_site` is.
        training: the plan's; an idle site does nothing of it.
    """

    sites: int
    encoding: Encoding
    model: ModelSpec
    rounds: int = 2
    gateway: bool = True
    round_within_s: float = 600.0
    count_bytes: bool = False
    worker: str = "simulation.bench.idle_site"
    training: TrainingSpec = field(default_factory=TrainingSpec)


@dataclass(frozen=True, slots=True)
class _Live:
    """A trial under way."""

    options: TrialOptions
    server: ServerFolder
    kept: KeptPlan
    up: Launched
    watch: ProcessWatch

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.server, self.kept.body.plan_id)

    def history(self) -> tuple[RoundRecord, ...]:
        return RunStore(self.run.path / ROUNDS_FOLDER, lambda event, round_id, text: None).history()


def run_trial(
    options: TrialOptions, folder: Path, mark: str, new_relay: Callable[[int], CountingRelay] = CountingRelay
) -> TransportTrial:
    """Run one in a folder that is not there yet; its processes are gone when this returns.

    Args:
        options: see `TrialOptions`.
        folder: keeps everything, logs included.
        mark: of the processes, so that whoever called can look whether one is left.
        new_relay: makes the counting relay to a port.

    Raises:
        FedmetsError: something did not start, a site's update was not accepted, or a round took too long.
    """
    rounds, within_s = 1 + options.rounds, options.round_within_s
    plan = plan_of(options.sites, options.encoding, options.model, options.training, rounds, within_s)
    server, kept, sites = found_federation(folder, plan)
    with ExitStack() as held:
        up = held.enter_context(_running(_up_program(server, options, folder), mark, _GRACE_S))
        live = _Live(options, server, kept, up, ProcessWatch())
        ready = _await_up(live)
        for name, pid in ready.pids.items():
            live.watch.add(name, pid)
        port = ready.gateway_port or ready.superlink_port
        relay = held.enter_context(new_relay(port)) if options.count_bytes else None
        address = f"{LOOPBACK}:{relay.port if relay else port}"
        for site in sites:
            for kind, program in _site_programs(site, address, options.worker).items():
                launched = held.enter_context(_running(program, f"{mark}.{site.name}", 0.0))
                live.watch.add(f"{kind} {site.name}", _pid_of(launched))
        begin_run(server, kept, running_cli(server), _APPROVE_WITHIN_S, datetime.now(UTC))
        marks = [_await_round(live, number, relay) for number in range(1, options.rounds + 2)]
        _await_end(live)
        times = [site.folder.path / TIMES_FILE for site in sites]
        audit = tuple(read_audit(live.run.path / AUDIT_FILE))
        log = _serverapp_log(live)
        last = marks[-1]
        marks[-1] = Marks(live.watch.look(), last.idle_s, last.traffic)  # with the peaks of the last commit
        cores = os.cpu_count() or 1
        return trial_of(options.encoding, options.gateway, live.history(), audit, log, times, marks, cores)


@contextmanager
def _running(program: Program, mark: str, grace_s: float) -> Iterator[Launched]:
    launched = launch(program, mark)
    try:
        yield launched
    finally:
        if grace_s:
            launched.stop(grace_s)
        launched.kill()


def _up_program(server: ServerFolder, options: TrialOptions, folder: Path) -> Program:
    gateway = "--gateway" if options.gateway else "--no-gateway"
    argv = (executable("fedmets-server"), "up", str(server.path), "--listen", LOOPBACK, gateway)
    return Program("up", argv, dict(os.environ), folder / "up.log", grace_s=_GRACE_S)


def _site_programs(site: IdleSite, address: str, module: str) -> dict[str, Program]:
    """The SuperNode as the site's daemon starts it, and the worker of this module."""
    daemon = Daemon(site.folder, site.config, address, site.port, site.secret, None, os.environ)
    worker = daemon.worker()
    own = (str(site.folder.path), str(site.number), f"{LOOPBACK}:{site.port}", str(site.secret))
    argv = (sys.executable, "-P", "-m", module, *own)
    return {
        "supernode": daemon.node(site.folder.joined()),
        "worker": Program(worker.name, argv, worker.environment, worker.log),
    }


def _pid_of(launched: Launched) -> int:
    end_s = time.monotonic() + _GRACE_S
    while time.monotonic() < end_s and launched.poll() is None:
        process, _ = launched.records()
        if process is not None:
            return process.pid
        time.sleep(_POLL_S)
    raise FedmetsError("a process of the trial did not start")


def _await_up(live: _Live) -> UpRecord:
    end_s = time.monotonic() + _UP_WITHIN_S
    while (ready := read_up(live.server)) is None:
        if live.up.poll() is not None or time.monotonic() > end_s:
            said = _last_line(live.server.path.parent / "up.log")
            raise FedmetsError(f"fedmets-server up did not come up: {said}")
        time.sleep(_POLL_S)
    return ready


def _await_round(live: _Live, number: int, relay: CountingRelay | None) -> Marks:
    """What everything had cost when the round was committed, seen within a fifth of a second.

    Raises:
        FedmetsError: the run or the aggregator ended, a site's update is missing, or it took too long.
    """
    end_s = time.monotonic() + live.options.round_within_s + (_APPROVE_WITHIN_S if number == 1 else 0.0)
    while len(history := live.history()) < number:
        time.sleep(_POLL_S)
        _look(live)
        if live.up.poll() is not None or time.monotonic() > end_s or _has_failed(live):
            report = report_run(live.server, live.kept)
            said = f"the run is {report.state} {report.reason}".strip()
            raise FedmetsError(f"round {number} is not committed; {said}")
    missing = [f"{site.site} {site.code or site.outcome}" for site in history[-1].sites if site.cases == 0]
    if missing:
        raise FedmetsError(f"round {number}: not every site's update was used: {', '.join(missing)}")
    return Marks(_look(live), idle_s(), relay.traffic() if relay else None)


def _await_end(live: _Live) -> None:
    """Until the ServerApp has said that it is done, and its log lies at the SuperLink."""
    end_s = time.monotonic() + _GRACE_S
    while live.run.at_work() and time.monotonic() < end_s:
        _look(live)
        time.sleep(_POLL_S)


def _look(live: _Live) -> Mapping[str, ProcessFigures]:
    progress = live.run.progress()
    if progress is not None and progress.process_id:
        live.watch.add("serverapp", progress.process_id)
    return live.watch.look()


def _has_failed(live: _Live) -> bool:
    progress = live.run.progress()
    return progress is not None and progress.phase == "ended" and bool(progress.reason)


def _serverapp_log(live: _Live) -> str:
    """The ServerApp's own lines, which Flower keeps."""
    cli, progress = running_cli(live.server), live.run.progress()
    argv = [cli.executable, "log", str(progress.flower_run if progress else 0), CONNECTION, "--show"]
    shown = subprocess.run(
        argv, cwd=cli.home, env=dict(cli.environment), capture_output=True, text=True, timeout=60.0, check=False
    )
    return shown.stdout


def _last_line(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return (text.strip().splitlines() or ["no message"])[-1]
