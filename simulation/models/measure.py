"""A few training steps of one network in a process of its own: `python -m simulation.models.measure`.

Reads one JSON object {"plan", "device", "room_bytes", "parent"} and says what it finds, one JSON object a line, as
soon as it is known: it may be ended at any moment, and what was said until then counts.
"""

import json
import sys
from typing import Any

import torch

from client.device import torch_device
from client.memory_estimate import step_memory
from client.tied import die_with
from client.training import use_threads
from client.trial_steps import TrialSteps
from common.errors import FedmetsError, TrainingFailed
from common.plan import Plan
from simulation.models.room import limit_memory, peak_resident_bytes, resident_bytes

_SLOW_S = 10.0  # above it the first step counts: what it loads and allocates no longer matters
_MORE_STEPS = 2


def main() -> None:
    """Read the request, measure, answer; that it cannot be done is an answer too."""
    request = json.loads(sys.stdin.read())
    die_with(request["parent"])
    try:
        measure(Plan.from_json(request["plan"]), request["device"], request["room_bytes"])
    except TrainingFailed as failure:
        _say("failed", code=failure.code, text=str(failure))
    except FedmetsError as error:
        _say("failed", code="refused", text=str(error))
    except MemoryError:
        _say("failed", code="out-of-memory", text="out of memory")


def measure(plan: Plan, device_name: str, room: int | None) -> None:
    """Say what is needed by reckoning, then make steps and say how long they took and what they held.

    Args:
        plan: with the network, patch and batch.
        device_name: where.
        room: bytes of main memory that a step on a CPU may take; None for no limit.

    Raises:
        FedmetsError: no such device, a network that cannot be built, or memory that does not suffice.
    """
    use_threads(plan.training.threads)
    device = torch_device(device_name)
    cuda = device.type == "cuda"
    _say("reckoned", peak_bytes=step_memory(plan, half_precision=cuda).peak_bytes)
    _say("room", bytes=torch.cuda.mem_get_info(device)[0] if cuda else room)
    before = resident_bytes()
    if room is not None and not cuda:  # a driver maps far more than it takes, and a full GPU raises by itself
        limit_memory(room)
    work = TrialSteps(plan, plan.training, device)
    seconds = work.seconds(1)
    _say("steps", seconds=seconds, peak_bytes=_peak_bytes(device, before))
    if seconds < _SLOW_S:
        seconds = work.seconds(_MORE_STEPS) / _MORE_STEPS
        _say("steps", seconds=seconds, peak_bytes=_peak_bytes(device, before))


def _peak_bytes(device: torch.device, before: int) -> int:
    """What the network and its steps took at most: on a GPU its own memory, else main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return max(peak_resident_bytes() - before, 0)


def _say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


if __name__ == "__main__":
    main()
