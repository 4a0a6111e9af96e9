"""An experiment of a few seconds, and the two ways to run it: in this process, and as the real command."""

import io
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.cli import ARMS
from simulation.config import load_experiment
from simulation.progress import PlainProgress, WatchedProgress
from simulation.run import Finished, Options, run_experiment

PHANTOMS = """
[phantom]
shape = [32, 32, 32]
spacing_mm = [5.0, 5.0, 5.0]
lesion_scale = 5.0

[[phantom.sites]]
name = "north"
patients = 4
zero_lesion_share = 0.0

[[phantom.sites]]
name = "south"
patients = 3
vessels = "black_blood"
zero_lesion_share = 0.0

[[phantom.sites]]
name = "west"
patients = 3
zero_lesion_share = 0.0
"""
DATA = """
[data]
adapter = "ucsf_bmsr"
root = "ROOT"
"""
HEAD = """
name = "tiny"
seed = 3
sequences = ["t1c", "flair"]
"""
PLAN = """
[preprocessing]
spacing_mm = [5.0, 5.0, 5.0]

[split]
test = 0.3
validation = 0.1
salt = "c"

[model]
name = "unet_small"
channels = [4, 8]

[training]
steps = 2
batch_size = 2
patch_size = [16, 16, 16]
optimizer = "adamw"
learning_rate = 0.003

[federation]
rounds = 3
"""
SITES = ("north", "south", "west")
TIMEOUT_S = 120.0
Edit = tuple[str, str]


def phantom_config(folder: Path, *edits: Edit) -> Path:
    """The tiny experiment on a cohort that the run generates."""
    return _write(folder, HEAD + PHANTOMS + PLAN, edits)


def data_config(folder: Path, cohort: Path, *edits: Edit) -> Path:
    """The tiny experiment on a cohort on disk."""
    return _write(folder, HEAD + DATA.replace("ROOT", str(cohort)) + PLAN, edits)


def _write(folder: Path, text: str, edits: Sequence[Edit]) -> Path:
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Ran:
    """A run that ended in this process, and what it told on the way."""

    folder: Path
    finished: Finished
    told: str

    @property
    def result(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.folder / "result.json").read_bytes())
        return values

    def outcomes(self, site: str) -> list[tuple[str, str | None]]:
        rows = [row for one in self.result["rounds"] for row in one["sites"] if row["site"] == site]
        return [(row["outcome"], row["code"]) for row in rows]


def run_here(
    config: Path,
    out: Path,
    arms: tuple[str, ...] = ARMS,
    *,
    seed: int | None = None,
    workers: int = 1,
    after_step: Callable[[], None] = lambda: None,
) -> Ran:
    """Run the experiment in this process (with one worker; else in processes of its own)."""
    experiment = load_experiment(config, seed, workers)
    stream = io.StringIO()
    options = Options(arms, config.read_text(encoding="utf-8"))
    finished = run_experiment(experiment, out, options, WatchedProgress(PlainProgress(stream), after_step))
    return Ran(out, finished, stream.getvalue())


def last_models(folder: Path) -> dict[str, str]:
    """sha256 of the last commit of the federation and of every baseline."""
    stores = {"federated": folder / "rounds", **{path.name: path for path in (folder / "baselines").iterdir()}}
    last = {name: max(path.glob("round-*")) for name, path in stores.items()}
    return {name: json.loads((path / "state.json").read_bytes())["model_sha256"] for name, path in last.items()}


class Command:
    """`fedmets-sim run` in a process group of its own."""

    def __init__(self, config: Path, out: Path, *options: str) -> None:
        script = Path(sys.executable).with_name("fedmets-sim")
        with _heeding_interrupts():
            self.process = subprocess.Popen(
                [script, "run", config, "--out", out, *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def wait_for(self, start: str) -> None:
        """Read progress until a line begins like this; a run that hangs is killed, which ends its lines."""
        assert self.process.stderr is not None
        seen = []
        end = threading.Timer(TIMEOUT_S, self.process.kill)
        end.start()
        try:
            for line in self.process.stderr:
                seen.append(line)
                if line.startswith(start):
                    return
        finally:
            end.cancel()
        raise AssertionError(f"ended without a line {start!r}: {''.join(seen)}")

    def children(self) -> list[int]:
        """Handles that become readable when a child process ends."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        pids = {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
        return [os.pidfd_open(int(pid)) for pid in sorted(pids)]

    def end(self, send: Callable[[int], None] | None = None) -> tuple[int, str, str]:
        """Send a signal, or just wait; exit code, and the rest of stdout and stderr."""
        if send is not None:
            send(self.process.pid)
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, err


@contextmanager
def _heeding_interrupts() -> Iterator[None]:
    """What is started within heeds a Ctrl-C, also where it is ignored, as by what a script starts with `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def all_end(handles: Sequence[int], timeout_s: float) -> bool:
    """Whether all these processes end in time; closes the handles."""
    running = set(handles)
    while running:
        ended, _, _ = select.select(running, [], [], timeout_s)
        if not ended:
            break
        running.difference_update(ended)
    for handle in handles:
        os.close(handle)
    return not running
