"""Preflight of the processor: device, memory against the plan, steps per second, tried in a process of its own.

A driver that crashes, or memory that runs out, costs that process and becomes a finding.
"""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from client.machine import Memory, size_text
from common.expiry import Finding, Level
from common.plan import Plan

_WARN_SHARE = 0.9
_PROCESS_BYTES = 10**9  # Python, torch and its libraries, without a case
_COPIES = 4  # of the weights in main memory: as they came, on the way out, and between
_LAST_WAIT_S = 1.0
_MARGIN_S = 1.0  # for the way to the trial process and back
DEFAULT_PLAN = Plan(name="default", sequences=("t1", "t1c", "t2", "flair"), sites=("here",))


@dataclass(frozen=True, slots=True)
class Trial:
    """What the trial process said before it ended or was ended.

    Attributes:
        events: by kind, the last of each.
        seconds_a_step: None when no step was measured.
        extrapolated: from the smallest patch, since no whole step was made in time.
        crash: how the process ended when not in the way it should; empty otherwise.
    """

    events: dict[str, dict[str, Any]]
    seconds_a_step: float | None
    extrapolated: bool
    crash: str = ""


class TrialProcess:
    """client/preflight_trial.py, started at once, so that it loads torch while other things are looked at.

    Use as a context manager: leaving it kills the process.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "client.preflight_trial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # a driver that hangs can keep even a killed process
            self._process.wait(_LAST_WAIT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def run(self, plan: Plan, device: str, limit_s: float) -> Trial:
        """Ask for a trial and listen until the process ends, or is ended after `limit_s`."""
        request = {"plan": plan.to_json(), "device": device, "limit_s": max(limit_s - _MARGIN_S, 1.0)}
        try:
            said, _ = self._process.communicate(json.dumps(request), timeout=limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, _ = self._process.communicate()
            return read_trial(said)
        code = self._process.returncode
        return read_trial(said, "" if code == 0 else _how_it_ended(code))


def check_compute(
    process: TrialProcess, plan: Plan | None, device: str, memory: Memory | None, limit_s: float
) -> list[Finding]:
    """Try the plan's network, or that of the default plan when there is none yet, for at most `limit_s`.

    Args:
        process: where it is tried.
        plan: proposed or approved here.
        device: as site.toml has it.
        memory: main memory now.
        limit_s: the process is killed then.
    """
    tried = plan if plan is not None else DEFAULT_PLAN
    return judge_trial(process.run(tried, device, limit_s), plan, memory)


def read_trial(said: str, crash: str = "") -> Trial:
    """Make sense of the trial's lines; the last may be cut short.

    Of several runs of steps the longest counts, the first being a warm-up. Without any, the time of the smallest
    patch is scaled by volume: 1.5 s for an eighth of the step's voxels is 12 s a step.
    """
    events: dict[str, dict[str, Any]] = {}
    for line in said.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        events[event["event"]] = event
    if "steps" in events:
        return Trial(events, events["steps"]["seconds"] / events["steps"]["steps"], False, crash)
    if "small" in events:
        return Trial(events, events["small"]["seconds"] / events["small"]["share"], True, crash)
    return Trial(events, None, False, crash)


def _how_it_ended(code: int) -> str:
    """A process's end in words: -9 is "killed by SIGKILL"."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def judge_trial(trial: Trial, plan: Plan | None, memory: Memory | None) -> list[Finding]:
    """Findings on device, memory and speed; what does not suffice for the default plan alone is a warning."""
    failed = trial.events.get("failed", {})
    if "device" not in trial.events:
        why = failed.get("text") or trial.crash or "it did not start in time"
        return [Finding("fail", "device", f"the trial process says: {why}", "correct device in site.toml")]
    bad: Level = "fail" if plan is not None else "warn"
    findings = [_device(trial.events["device"])]
    if "memory" in trial.events:
        findings += _memory(trial, memory, bad)
    if failed:
        findings.append(Finding(bad, "training", f"{failed['text']}", "ask the consortium for a plan that fits"))
    elif trial.crash:
        advice = "as when memory runs out or a driver fails; look into the system's log (dmesg)"
        findings.append(Finding(bad, "training", f"the trial process died: {trial.crash}", advice))
    else:
        findings.append(_speed(trial, plan, bad))
    return findings


def _device(seen: dict[str, Any]) -> Finding:
    if seen["free_bytes"] is None:
        gpus = f"{seen['gpus']} GPUs not used" if seen["gpus"] else "torch finds no GPU"
        return Finding("ok", "device", f"{seen['device']}, {gpus}")
    free = size_text(seen["free_bytes"])
    return Finding("ok", "device", f"{seen['device']} {seen['name']}, {free} free, CUDA {seen['cuda']}")


def _memory(trial: Trial, memory: Memory | None, bad: Level) -> list[Finding]:
    needed, device = trial.events["memory"], trial.events["device"]
    model = f"{needed['parameters'] / 1e6:.1f} million parameters"
    copies = _PROCESS_BYTES + _COPIES * 4 * needed["parameters"]
    findings = []
    on_gpu = device["free_bytes"] is not None
    if on_gpu:
        findings.append(_against("GPU memory", needed["peak_bytes"], device["free_bytes"], model, bad))
    if memory is not None:
        peak = copies if on_gpu else copies + needed["peak_bytes"]
        findings.append(_against("main memory", peak, memory.available, model, bad))
    return findings


def _against(what: str, needed: int, free: int, model: str, bad: Level) -> Finding:
    found = f"{model} need about {size_text(needed)}, {size_text(free)} are free"
    advice = "end other programs, or ask the consortium for a smaller batch_size or patch_size"
    if needed > free:
        return Finding(bad, what, found, advice)
    if needed > _WARN_SHARE * free:
        return Finding("warn", what, found, advice)
    return Finding("ok", what, found)


def _speed(trial: Trial, plan: Plan | None, bad: Level) -> Finding:
    """Steps a second, and whether a round of them fits its deadline: fail beyond it, warn beyond half of it."""
    which = plan if plan is not None else DEFAULT_PLAN
    name = f"plan '{which.name}'" if plan is not None else "the default plan, none being proposed here yet"
    if trial.seconds_a_step is None:
        advice = "run it again when the machine is idle; a GPU that is full or another's program may be the cause"
        return Finding(bad, "training speed", f"{name}: no step was made in the time of this check", advice)
    steps, deadline_s = which.training.steps, which.federation.deadline_s
    round_s = trial.seconds_a_step * steps
    how = ", reckoned from a small patch" if trial.extrapolated else ""
    found = (
        f"{name}: {1.0 / trial.seconds_a_step:.3g} steps a second{how}; a round of {steps} steps takes about "
        f"{round_s:.0f} s of its {deadline_s:.0f} s"
    )
    advice = "use a faster device, or ask the consortium for fewer steps or a longer deadline"
    if round_s > deadline_s:
        return Finding(bad, "training speed", found, advice)
    if round_s > deadline_s / 2:
        return Finding("warn", "training speed", found, f"loading and validation come on top; {advice}")
    return Finding("ok", "training speed", found)
