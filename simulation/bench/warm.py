"""From a task's arrival at a warm site to its first training step, through the daemon's own training process."""

import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from client.data.case import Grid, Metadata, PreparedCase
from client.frames import FrameSocket
from client.site import Site
from client.tied import die_with
from client.trainer import Trainer
from client.trainer_child import serve
from common.errors import FedmetsError
from common.model.build import new_network, parameter_count
from common.model.weights import weights_of
from common.plan import FederationSpec, ModelSpec, Plan, TrainingSpec
from common.protocol import SiteUpdate, TrainTask

ASKED_S = 1.0
_SITE = "bench"
_EDGE = 96
_DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class BenchWarm:
    """The outcome.

    Attributes:
        parameters: of the network.
        cold_s: from the start of the process, over getting ready, to the first step of the first task.
        warm_s: from handing over a task to its first forward pass, a figure a round.
        reply_s: a whole round of one step, a figure a round.
        step_s: the fit within it: optimiser, patch and step.
    """

    parameters: int
    cold_s: float
    warm_s: tuple[float, ...]
    reply_s: tuple[float, ...]
    step_s: tuple[float, ...]


def run(rounds: int, model: ModelSpec | None = None) -> BenchWarm:
    """Send `rounds` tasks of one small step each to one training process, after one that warms it up.

    The site has no validation cases: scoring the incoming model, in rounds where that is due, is the task's own
    work and comes before its first step.
    """
    plan = _plan(rounds + 1, model or ModelSpec())
    network = new_network(plan)
    weights = weights_of(network)
    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder) / "marks"
        marks.touch()
        trainer = Trainer(_SITE, (sys.executable, "-m", "simulation.bench.warm", str(marks)))
        try:
            begin_s = time.monotonic()
            trainer.warm(plan)
            figures = [
                _round(trainer, TrainTask(plan.fingerprint(), number, weights), plan, marks)
                for number in range(1, rounds + 2)
            ]
        finally:
            trainer.close()
    first, *rest = figures
    return BenchWarm(
        parameters=parameter_count(network),
        cold_s=first[0] - begin_s,
        warm_s=tuple(forward_s - sent_s for forward_s, sent_s, _, _ in rest),
        reply_s=tuple(reply_s for _, _, reply_s, _ in rest),
        step_s=tuple(step_s for _, _, _, step_s in rest),
    )


def render(result: BenchWarm) -> str:
    """The outcome as lines for a terminal."""
    median, worst = statistics.median(result.warm_s), max(result.warm_s)
    return "\n".join(
        (
            f"{result.parameters} parameters, {len(result.warm_s)} rounds of one step, {torch.get_num_threads()} "
            "threads here, one in the training process",
            f"task to first step   {median:6.3f} s, at most {worst:.3f} s (under {ASKED_S:g} s asked for)",
            f"task to reply        {statistics.median(result.reply_s):6.3f} s, of it the fit "
            f"{statistics.median(result.step_s):.3f} s",
            f"cold                 {result.cold_s:6.3f} s from no process at all to the first step",
        )
    )


def _round(trainer: Trainer, task: TrainTask, plan: Plan, marks: Path) -> tuple[float, float, float, float]:
    """(first forward pass, handed over, seconds to the reply, seconds of the fit) of one task."""
    marks.write_text("")
    sent_s = time.monotonic()
    reply = trainer.train(task, plan, _DEADLINE_S)
    reply_s = time.monotonic() - sent_s
    if not isinstance(reply, SiteUpdate):
        raise FedmetsError(f"the training process answered {reply.code}; its output above says why")
    forwards = [float(line) for line in marks.read_text().split()]
    return next(mark for mark in forwards if mark > sent_s), sent_s, reply_s, reply.report.train_seconds


def _plan(rounds: int, model: ModelSpec) -> Plan:
    return Plan(
        name="bench",
        sites=(_SITE,),
        sequences=("t1", "t1c", "t2", "flair"),
        labels=("necrosis", "oedema", "enhancing"),
        model=model,
        training=TrainingSpec(steps=1, batch_size=1, patch_size=(64, 32, 32)),
        federation=FederationSpec(rounds=rounds),
    )


def _site(plan: Plan) -> Site:
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
    return Site(_SITE, plan, (case,), (), (), {}, torch.device("cpu"))


def _child(marks: Path, number: int, parent: int) -> None:
    """The daemon's training process around the bench's site; writes down when each forward pass begins."""
    die_with(parent)

    def note(module: torch.nn.Module, inputs: object) -> None:
        if type(module).__name__ == "DynUNet":
            with marks.open("a") as file:
                file.write(f"{time.monotonic()}\n")

    torch.nn.modules.module.register_module_forward_pre_hook(note)
    with socket.socket(fileno=number) as connection:
        serve(FrameSocket(connection), _SITE, _site)


if __name__ == "__main__":
    _child(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
