"""Starting one measurement, waiting for it no longer than allowed, and making sense of what it said."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

from client.machine import size_text
from common.errors import ConfigError
from common.model.patches import check_patch_size
from common.plan import AugmentationSpec, ModelSpec, Plan, Sequence, TrainingSpec
from simulation.models.room import room_bytes

SEQUENCES: tuple[Sequence, ...] = ("t1", "t1c", "t2", "flair")
LABELS = ("necrosis", "oedema", "enhancing")
_STILL = AugmentationSpec(flip=0.0, rotate=0.0, scale=0.0, gamma=0.0, noise=0.0, brightness=0.0)
Outcome = Literal["measured", "refused", "does-not-fit", "timeout", "died"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure: where, with how many CPU threads and patches a step, and how long to wait."""

    device: str = "auto"
    threads: int = 1
    batch: int = 1
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One training step (forward, loss, backward, optimiser) of one network on cubic patches.

    Attributes:
        edge: of the patch, in voxels.
        outcome: "measured", or why not.
        seconds: of one step; None where not measured.
        peak_bytes: the most that the network and its steps took, weights and optimiser included; main memory on a
            CPU, its own on a GPU.
        reckoned_bytes: the same, reckoned before; None where it did not come to that.
        text: why not, in words; empty where measured.
    """

    edge: int
    outcome: Outcome
    seconds: float | None = None
    peak_bytes: int | None = None
    reckoned_bytes: int | None = None
    text: str = ""


def plan_for(spec: ModelSpec, edge: int, settings: Settings) -> Plan:
    """Four sequences, three labels and the background, patches of noise, nothing augmented."""
    training = TrainingSpec(
        patch_size=(edge, edge, edge), batch_size=settings.batch, threads=settings.threads, augmentation=_STILL
    )
    return Plan(name="models", sequences=SEQUENCES, labels=LABELS, model=spec, training=training, sites=("here",))


def measure_step(spec: ModelSpec, edge: int, settings: Settings) -> StepFigures:
    """Measure in a process of its own that is held to nine tenths of the free memory; it always ends in time."""
    try:
        check_patch_size(spec, (edge, edge, edge))
    except ConfigError as error:
        return StepFigures(edge, "refused", text=str(error))
    request = {
        "plan": plan_for(spec, edge, settings).to_json(),
        "device": settings.device,
        "room_bytes": room_bytes(),
        "parent": os.getpid(),
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "simulation.models.measure"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            said, complained = process.communicate(json.dumps(request), timeout=settings.timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            return read_events(said, edge, f"no step ended within {settings.timeout_s:g} s", timed_out=True)
        except BaseException:  # Ctrl-C: nothing is left running
            process.kill()
            raise
    ended = "" if process.returncode == 0 else _how_it_ended(process.returncode, complained)
    return read_events(said, edge, ended)


def read_events(said: str, edge: int, ended: str = "", timed_out: bool = False) -> StepFigures:
    """Make figures of what a measurement said; its last line may be cut short.

    Args:
        said: its lines.
        edge: of the patch.
        ended: how it ended, where not as it should.
        timed_out: whether it was ended by us.
    """
    events = _events(said)
    reckoned, room = events.get("reckoned", {}).get("peak_bytes"), events.get("room", {}).get("bytes")
    if "steps" in events:  # one step is enough, whatever came after
        steps = events["steps"]
        return StepFigures(edge, "measured", steps["seconds"], steps["peak_bytes"], reckoned)
    failed = events.get("failed")
    if failed is None:
        outcome: Outcome = "timeout" if timed_out else "died"
        return StepFigures(edge, outcome, reckoned_bytes=reckoned, text=ended or "it ended without a word")
    if failed["code"] != "out-of-memory":
        return StepFigures(edge, "refused", reckoned_bytes=reckoned, text=failed["text"])
    needs = "" if reckoned is None else f"needs about {size_text(reckoned)}"
    allowed = "" if room is None else f"{size_text(room)} were allowed"
    text = ", ".join(part for part in (needs, allowed) if part) or failed["text"]
    return StepFigures(edge, "does-not-fit", reckoned_bytes=reckoned, text=text)


def _events(said: str) -> dict[str, dict[str, Any]]:
    events: dict[str, dict[str, Any]] = {}
    for line in said.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        events[event["event"]] = event
    return events


def _how_it_ended(code: int, complained: str) -> str:
    """-9 is "killed by SIGKILL"; else the last line of its complaint."""
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    lines = complained.strip().splitlines()
    return f"{how}: {lines[-1]}" if lines else how
