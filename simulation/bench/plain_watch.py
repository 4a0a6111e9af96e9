"""Following a run of plain Flower by the lines that its ServerApp writes."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import FedmetsError
from common.launching import Launched
from server.flower_runs import find_run
from simulation.bench.plain_setup import Scratch
from simulation.bench.relay import CountingRelay, Traffic

_POLL_S = 0.1
_ASK_AFTER_S = 120.0  # without news; asking Flower costs two seconds of processor


@dataclass(frozen=True, slots=True)
class Trial:
    """A run under way; `processes` are SuperLink and the SuperNodes."""

    scratch: Scratch
    run_id: int
    processes: tuple[Launched, ...]
    round_within_s: float
    relay: CountingRelay | None


@dataclass(frozen=True, slots=True)
class Line:
    """What the ServerApp wrote after a round, 0 being before the first, and what had passed the relay by then."""

    at_s: float
    peak_bytes: int
    traffic: Traffic


def await_line(trial: Trial, number: int) -> Line:
    """The ServerApp's line after round `number`, read within a tenth of a second.

    Raises:
        FedmetsError: the run ended, the round took too long, or not every site replied (Flower lets that pass).
    """
    began_s = asked_s = time.monotonic()
    while len(lines := _lines(trial.scratch)) <= number:
        time.sleep(_POLL_S)
        now_s = time.monotonic()
        over = any(process.poll() is not None for process in trial.processes)
        if now_s - asked_s > _ASK_AFTER_S:
            asked_s = now_s
            over = over or find_run(trial.scratch.cli(), trial.run_id).status.is_over
        if over or now_s - began_s > trial.round_within_s:
            raise _failure(trial, number, "it ended" if over else f"over {trial.round_within_s:g} s")
    line, sites = lines[number], len(trial.processes) - 1
    if line["replies"] != number * sites:
        raise _failure(trial, number, f"{line['replies']} replies so far, {number * sites} expected")
    return Line(line["at_s"], line["peak_bytes"], trial.relay.traffic() if trial.relay else Traffic(0, 0))


def _failure(trial: Trial, number: int, what: str) -> FedmetsError:
    said = "; ".join(f"{name}: {last_words(trial.scratch, name)}" for name in ("superlink", "node-0"))
    return FedmetsError(f"plain Flower, round {number}: {what} ({said})")


def _lines(scratch: Scratch) -> list[Mapping[str, Any]]:
    text = scratch.lines.read_text(encoding="utf-8") if scratch.lines.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def last_words(scratch: Scratch, name: str) -> str:
    """The last line of a program's log."""
    text = scratch.log(name).read_text(encoding="utf-8", errors="replace")
    return (text.strip().splitlines() or ["no message"])[-1]
