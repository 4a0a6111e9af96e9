"""A whole federation as real processes on the loopback address, to be broken on purpose."""

import contextlib
import io
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from client.site_folder import SiteFolder
from common.audit import AuditRecord, read_audit
from common.processes import process_info
from server.federation import ROUNDS_FOLDER
from server.plans import KeptPlan
from server.provisioning import ServerFolder
from server.records import Participation, RoundRecord
from server.run_folder import RunFolder
from server.run_report import RunReport, report_run
from server.running import begin_run
from server.store import RunStore
from server.superlink import executable
from server.up_record import read_up, running_cli
from simulation.config import Experiment, load_experiment
from simulation.deploy_setup import HOST, set_up, site_folder
from simulation.engine import Means
from simulation.pool import Workers
from simulation.prepare import prepare_sites
from simulation.progress import PlainProgress
from simulation.timing import Stopwatch
from tests.end_to_end.tiny import phantom_config

PATIENCE_S = 150.0


@dataclass
class Live:
    """One federation; whatever it started ends with `close`."""

    root: Path
    server: ServerFolder
    kept: KeptPlan
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def up(self) -> None:
        """Bring the aggregator up and wait until it is ready."""
        self.start("server", (executable("fedmets-server"), "up", str(self.server.path), "--listen", HOST))
        wait_for(lambda: read_up(self.server) is not None, "the aggregator is up", self.log)

    def join(self, site: str, command: Sequence[str] | None = None) -> None:
        """Start a hospital's daemon, or what stands in for it."""
        usual = (executable("fedmets-site"), "run", str(self.site(site).path))
        self.start(site, tuple(command or usual))

    def begin(self) -> None:
        """Start the run, or go on with it."""
        begin_run(self.server, self.kept, running_cli(self.server), 120.0, datetime.now(UTC))

    def start(self, name: str, argv: Sequence[str]) -> None:
        log = (self.root / f"{name}.out").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                list(argv), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """As a machine that loses power: the command and all that it started, without a word."""
        process = self.processes.pop(name)
        family = [process.pid, *_descendants(process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30.0)
        wait_for(lambda: not any(_is_alive(pid) for pid in family), f"{name} is dead", self.log)

    def stop(self, name: str) -> int:
        """SIGTERM, as systemd does; the exit code."""
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(PATIENCE_S)

    def working(self, name: str, program: str) -> list[int]:
        """The processes of a command whose own command line names a program."""
        return [pid for pid in _descendants(self.processes[name].pid) if program.encode() in _command_line(pid)]

    def close(self) -> list[int]:
        """End everything; the processes that were still there afterwards, which are killed."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
        left = at_work_in(self.root)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def site(self, name: str) -> SiteFolder:
        return site_folder(self.root, name)

    def heard_at(self, site: str) -> list[AuditRecord]:
        """The site's own audit log, its chain checked."""
        return list(read_audit(self.site(site).path / "audit.jsonl"))

    def report(self) -> RunReport:
        return report_run(self.server, self.kept)

    def status(self) -> str:
        """What `fedmets-server status` says of the run."""
        return "\n".join(self.report().lines(self.server))

    def rounds(self) -> tuple[RoundRecord, ...]:
        folder = RunFolder(self.server, self.kept.body.plan_id).path / ROUNDS_FOLDER
        return RunStore(folder, lambda event, round_id, text: None).history()

    def wait_until(self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        wait_for(condition, what, self.log, patience_s)

    def wait_for_round(self, round_id: int) -> None:
        self.wait_until(lambda: len(self.rounds()) >= round_id, f"round {round_id} is committed")

    def wait_for_task(self, site: str, round_id: int) -> None:
        """Until the site works on this round."""
        self.wait_until(lambda: self.has_begun(site, round_id), f"{site} has begun round {round_id}")

    def has_begun(self, site: str, round_id: int) -> bool:
        return any(line.event == "task-begun" and line.round == round_id for line in self.heard_at(site))

    def outcomes(self, round_id: int) -> dict[str, Participation]:
        return {site.site: site for site in self.rounds()[round_id - 1].sites}

    def wait_for_end(self, patience_s: float = PATIENCE_S) -> RunReport:
        self.wait_until(
            lambda: self.report().state in ("completed", "partial", "failed"), "the run has ended", patience_s
        )
        return self.report()

    def log(self) -> str:
        """What every process said last, for a test that fails."""
        files = [*self.root.glob("*.out"), *self.root.rglob("logs/*.log")]
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in sorted(files))


@contextmanager
def live_federation(
    root: Path, *edits: tuple[str, str], before: Callable[[Path], None] = lambda root: None
) -> Iterator[Live]:
    """A federation set up, its plan approved, not running yet; nothing may be left of it afterwards.

    What `before` has made of the root, such as a federation's folder, is taken as it is.
    """
    before(root)
    experiment = load_experiment(phantom_config(root, *edits))
    live = _set_up(experiment, root)
    try:
        yield live
    finally:
        left = live.close()
    assert left == [], f"processes were left: {left}"


def _set_up(experiment: Experiment, root: Path) -> Live:
    progress = PlainProgress(io.StringIO())
    with Stopwatch(root / "seconds.json") as stopwatch, Workers(1, 1) as workers:
        means = Means(root, workers, stopwatch, progress)
        prepared = prepare_sites(experiment, root, workers, progress)
        server, kept = set_up(experiment, prepared, means)
    return Live(root, server, kept)


def wait_for(
    condition: Callable[[], bool], what: str, log: Callable[[], str], patience_s: float = PATIENCE_S
) -> None:
    end_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_s, f"after {patience_s:g} s it is not so that {what}\n{log()}"
        time.sleep(0.2)


def at_work_in(root: Path) -> list[int]:
    """Every process of this machine whose command line or environment names the folder."""
    found, needle = set(), str(root).encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            if needle in told and int(path.name) != os.getpid():
                found.add(int(path.name))
    return sorted(found)


def _is_alive(pid: int) -> bool:
    """Whether it still holds locks and ports; its first thread may be dead while others are not."""
    info = process_info(pid)
    return info is not None and not (info.is_zombie and len(list(Path(f"/proc/{pid}/task").glob("*"))) <= 1)


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found
