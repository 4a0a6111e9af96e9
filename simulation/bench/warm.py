"""From a task's arrival at a warm site to its first step, through the daemon's own desk and training process.

What has arrived is the signed message, whole, in the worker's hands: its checks, its place in the audit log,
unpacking and handing over are counted. What comes before that, from the last byte at the site on,
simulation/bench/arrival.py measures over real processes.
"""

import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from client.data.case import Grid, Metadata, PreparedCase
from client.desk import Desk
from client.frames import FrameSocket
from client.site import Site
from client.tied import die_with
from client.trainer import Trainer
from client.trainer_child import serve
from common.errors import FedmetsError
from common.model.build import new_network, parameter_count
from common.model.weights import weights_of
from common.plan import FederationSpec, ModelSpec, Plan, TrainingSpec
from common.protocol import SiteAnswer, TrainTask
from common.wire import Envelope, ReplyBody, read_body
from server.sealing import seal_task
from simulation.bench.transport_setup import found_federation

ASKED_S = 1.0
_SITE = "bench"
_EDGE = 96
ONE_STEP = TrainingSpec(steps=1, batch_size=1, patch_size=(64, 32, 32))


@dataclass(frozen=True, slots=True)
class BenchWarm:
    """The outcome.

    Attributes:
        parameters: of the network.
        cold_s: from the start of the process, over getting ready, to the first step of the first task.
        warm_s: from the message in hand to the first forward pass, a figure a round.
        desk_s: of it, until the training process is handed the task: signature, freshness, audit log, unpacking.
        reply_s: a whole round of one step, a figure a round.
        step_s: the fit within it: optimiser, patch and step.
    """

    parameters: int
    cold_s: float
    warm_s: tuple[float, ...]
    desk_s: tuple[float, ...]
    reply_s: tuple[float, ...]
    step_s: tuple[float, ...]


def run(rounds: int, model: ModelSpec | None = None) -> BenchWarm:
    """Send `rounds` tasks of one small step each to one site, after one that warms it up.

    The site has no validation cases: scoring the incoming model, in rounds where that is due, is the task's own
    work and comes before its first step.
    """
    plan = _plan(rounds + 1, model or ModelSpec())
    network = new_network(plan)
    weights = weights_of(network)
    with tempfile.TemporaryDirectory() as name:
        server, kept, (site,) = found_federation(Path(name) / "federation", plan)
        identity, marks = server.identity(None), Path(name) / "marks"
        trainer = Trainer(_SITE, watched_child(_SITE, marks))
        watched = _Watched(trainer)
        warm = _WarmSite(Desk(site.folder, watched, _now), watched, marks, kept.body.bundle_sha256)
        try:
            begin_s = time.monotonic()
            trainer.warm(plan)
            figures = []
            for number in range(1, rounds + 2):
                task = TrainTask(plan.fingerprint(), number, weights)
                message = seal_task(task, plan, server.federation.name, identity, _now())[1]
                figures.append(_round(warm, message))
        finally:
            trainer.close()
    first, *rest = figures
    return BenchWarm(
        parameters=parameter_count(network),
        cold_s=first.forward_s - begin_s,
        warm_s=tuple(one.forward_s - one.sent_s for one in rest),
        desk_s=tuple(one.handed_s - one.sent_s for one in rest),
        reply_s=tuple(one.reply_s for one in rest),
        step_s=tuple(one.step_s for one in rest),
    )


def render(result: BenchWarm) -> str:
    """The outcome as lines for a terminal."""
    median, worst = statistics.median(result.warm_s), max(result.warm_s)
    return "\n".join(
        (
            f"{result.parameters} parameters, {len(result.warm_s)} rounds of one step, {torch.get_num_threads()} "
            "threads here, one in the training process",
            f"task to first step   {median:6.3f} s, at most {worst:.3f} s (under {ASKED_S:g} s asked for)",
            f"    of it the desk   {statistics.median(result.desk_s):6.3f} s",
            f"task to reply        {statistics.median(result.reply_s):6.3f} s, of it the fit "
            f"{statistics.median(result.step_s):.3f} s",
            f"cold                 {result.cold_s:6.3f} s from no process at all to the first step",
        )
    )


def watched_child(site: str, marks: Path) -> tuple[str, ...]:
    """Starts a training process that writes to `marks` when each forward pass begins, on the monotonic clock."""
    return (sys.executable, "-m", "simulation.bench.warm", site, str(marks))


@dataclass(frozen=True, slots=True)
class _Round:
    """Moments on the monotonic clock, and how long the reply and the fit in it took."""

    sent_s: float
    handed_s: float
    forward_s: float
    reply_s: float
    step_s: float


class _Watched:
    """The daemon's trainer, and when it was handed its last task."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self.handed_s = trainer, 0.0

    def train(self, task: TrainTask, plan: Plan, deadline_s: float) -> SiteAnswer:
        """As the daemon's."""
        self.handed_s = time.monotonic()
        return self._trainer.train(task, plan, deadline_s)


@dataclass(frozen=True, slots=True)
class _WarmSite:
    desk: Desk
    trainer: _Watched
    marks: Path
    bundle_sha256: str


def _round(site: _WarmSite, message: Envelope) -> _Round:
    site.marks.write_text("")
    sent_s = time.monotonic()
    body = read_body(ReplyBody, site.desk.answer(message, site.bundle_sha256))
    reply_s = time.monotonic() - sent_s
    if body.report is None:
        raise FedmetsError(f"the site answered {body.code}; its output above says why")
    forwards = [float(line) for line in site.marks.read_text().split()]
    forward_s = next(mark for mark in forwards if mark > sent_s)
    return _Round(sent_s, site.trainer.handed_s, forward_s, reply_s, body.report.train_seconds)


def _now() -> datetime:
    return datetime.now(UTC)


def _plan(rounds: int, model: ModelSpec) -> Plan:
    return Plan(
        name="bench",
        sites=(_SITE,),
        sequences=("t1", "t1c", "t2", "flair"),
        labels=("necrosis", "oedema", "enhancing"),
        model=model,
        training=ONE_STEP,
        federation=FederationSpec(rounds=rounds),
    )


def _site(name: str, plan: Plan) -> Site:
    """Noise with a lesion in the middle, as memory that is mapped would be after a first look at it."""
    shape = (_EDGE, _EDGE, _EDGE)
    label = np.zeros(shape, np.uint8)
    label[40:50, 40:50, 40:50] = 1
    grid = Grid(shape, np.eye(4))
    image = np.random.default_rng(0).standard_normal((plan.in_channels, *shape), dtype=np.float32)
    case = PreparedCase(
        patient="p",
        exam="p",
        metadata=Metadata(),
        image=image,
        label=label,
        mask=np.ones(shape, np.uint8),
        grid=grid,
        native=grid,
        reference=label,
        lesion_voxels=np.argwhere(label).astype(np.int32),
    )
    return Site(name, plan, (case,), (), (), {}, torch.device("cpu"))


def _child(site: str, marks: Path, number: int, parent: int) -> None:
    """The daemon's training process around the bench's site; writes down when each forward pass begins."""
    die_with(parent)

    def note(module: torch.nn.Module, inputs: object) -> None:
        if type(module).__name__ == "DynUNet":
            with marks.open("a") as file:
                file.write(f"{time.monotonic()}\n")

    torch.nn.modules.module.register_module_forward_pre_hook(note)
    with socket.socket(fileno=number) as connection:
        serve(FrameSocket(connection), site, lambda plan: _site(site, plan))


if __name__ == "__main__":
    _child(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
