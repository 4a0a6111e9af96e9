"""A few training steps in a process of their own: `python -m client.preflight_trial`, started by the preflight.

Reads one JSON object {"plan", "device", "limit_s"} and says what it finds, one JSON object a line, as soon as it
is known: the preflight may kill it at any moment, and what was said until then counts.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from client.device import torch_device
from client.machine import main_memory
from client.memory_estimate import step_memory
from client.training import use_threads
from client.trial_steps import TrialSteps
from common.errors import FedmetsError, TrainingFailed
from common.model.patches import smallest_patch
from common.plan import Plan, TrainingSpec

Say = Callable[[dict[str, Any]], None]
_LONGEST_CHUNK = 16
_SLOW_S = 0.5  # above it a step's time is that of its voxels


def main() -> None:
    """Read the request, try, answer; an error of ours is an answer too."""
    request = json.loads(sys.stdin.read())
    try:
        run_trial(Plan.from_json(request["plan"]), request["device"], request["limit_s"], _say)
    except TrainingFailed as failure:
        _say({"event": "failed", "code": failure.code, "text": str(failure)})
    except FedmetsError as error:
        _say({"event": "failed", "code": "refused", "text": str(error)})


def run_trial(plan: Plan, device_name: str, limit_s: float, say: Say) -> None:
    """Try the plan's network on made-up patches for about `limit_s` seconds.

    Says, in this order: the device and its free memory; what a step will need; the time of a step on the smallest
    patch, which lets a slow machine be judged whose first whole step would not end in time; and the time of steps
    as the plan has them, as often as there is time for.

    Raises:
        FedmetsError: no such device, no memory, a network that cannot be built.
    """
    started_s = time.perf_counter()
    use_threads(plan.training.threads)
    device = torch_device(device_name)
    say({"event": "device", **_describe(device)})
    half_precision = _half_precision(plan.training, device)
    needed = step_memory(plan, half_precision)
    say(
        {
            "event": "memory",
            "parameters": needed.parameters,
            "peak_bytes": needed.peak_bytes,
            "half_precision": half_precision,
        }
    )
    if needed.peak_bytes > _room_bytes(device):
        return
    small_s, share = _small_step(plan, device, say)
    end_s = started_s + limit_s
    if small_s > _SLOW_S and time.perf_counter() + small_s / share > end_s:
        return
    _whole_steps(plan, device, end_s, say)
    if device.type == "cuda":
        say({"event": "measured", "peak_bytes": torch.cuda.max_memory_allocated(device)})


def _small_step(plan: Plan, device: torch.device, say: Say) -> tuple[float, float]:
    """Seconds for one patch, the smallest that the network takes, and its share of a step's voxels.

    The first of two steps is a warm-up, unless it was so slow that its loading no longer counts.
    """
    patch = plan.training.patch_size
    x, y, z = (min(length, wanted) for length, wanted in zip(patch, smallest_patch(plan.model), strict=True))
    spec = plan.training.model_copy(update={"patch_size": (x, y, z), "batch_size": 1})
    work = TrialSteps(plan, spec, device)
    share = x * y * z / (plan.training.batch_size * math.prod(patch))
    seconds = work.seconds(1)
    say({"event": "small", "seconds": seconds, "share": share})
    if seconds < _SLOW_S:
        seconds = work.seconds(1)
        say({"event": "small", "seconds": seconds, "share": share})
    return seconds, share


def _whole_steps(plan: Plan, device: torch.device, end_s: float, say: Say) -> None:
    """Twice as many steps each time, the first alone as a warm-up, until the next would end too late."""
    work, steps, expected_s = TrialSteps(plan, plan.training, device), 1, 0.0
    while time.perf_counter() + expected_s < end_s and steps <= _LONGEST_CHUNK:
        seconds = work.seconds(steps)
        say({"event": "steps", "steps": steps, "seconds": seconds})
        expected_s, steps = 2.0 * seconds, 2 * steps


def _describe(device: torch.device) -> dict[str, Any]:
    cuda = device.type == "cuda"
    return {
        "device": str(device),
        "name": torch.cuda.get_device_name(device) if cuda else "CPU",
        "free_bytes": _free_bytes(device),
        "cuda": torch.version.cuda,
        "gpus": torch.cuda.device_count(),
    }


def _free_bytes(device: torch.device) -> int | None:
    """Free memory of a GPU, ours and others' use taken off; None on a CPU, where /proc/meminfo says it."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def _room_bytes(device: torch.device) -> float:
    """What a step may take without harm to other programs; infinite where that cannot be known."""
    free = _free_bytes(device)
    memory = main_memory()
    if free is not None:
        return free
    return memory.available if memory is not None else math.inf


def _half_precision(spec: TrainingSpec, device: torch.device) -> bool:
    """As client/training.py decides it."""
    cuda = device.type == "cuda"
    automatic = cuda and torch.cuda.is_bf16_supported(False)
    return automatic if spec.mixed_precision == "auto" else spec.mixed_precision == "on"


def _say(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
