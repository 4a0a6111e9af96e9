"""The networks' figures as a table for people and as JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch

from client.machine import size_text
from common.compression import Encoding, encoded_bytes
from common.model.build import build_model, parameter_count
from common.model_spec import ModelSpec
from simulation.models.trial import LABELS, SEQUENCES, Settings, StepFigures

_WORDS = {"refused": "refused", "does-not-fit": "does not fit", "timeout": "no time", "died": "died"}


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """One network at its published width.

    Attributes:
        name: as in a plan.
        channels: its widths.
        parameters: trained values.
        update_bytes: what one site sends a round, by encoding, without signature and envelope.
        steps: one training step for every size of patch that was asked for.
    """

    name: str
    channels: tuple[int, ...]
    parameters: int
    update_bytes: Mapping[Encoding, int]
    steps: tuple[StepFigures, ...]


def figures_of(spec: ModelSpec, steps: Sequence[StepFigures]) -> NetworkFigures:
    """Count parameters and bytes; no memory is taken.

    31,192,068 parameters: 124,768,272 bytes as float32, half of it as float16, 32,166,821 as int8.
    """
    with torch.device("meta"):
        parameters = parameter_count(build_model(spec, len(SEQUENCES), 1 + len(LABELS), seed=0))
    encodings: tuple[Encoding, ...] = get_args(Encoding)
    sizes = {encoding: encoded_bytes(parameters, encoding) for encoding in encodings}
    return NetworkFigures(spec.name, spec.widths, parameters, sizes, tuple(steps))


def as_json(rows: Sequence[NetworkFigures], settings: Settings) -> dict[str, Any]:
    """All figures; `settings` are those that they were measured with."""
    return {
        "in_channels": len(SEQUENCES),
        "out_channels": 1 + len(LABELS),
        "settings": asdict(settings),
        "networks": [asdict(row) for row in rows],
    }


def as_text(rows: Sequence[NetworkFigures], settings: Settings) -> str:
    """A line a network; below it, why a figure is missing."""
    edges = [step.edge for step in rows[0].steps]
    header = ["network", "parameters", "float32", "float16", "int8", *(f"{edge} cubed" for edge in edges)]
    lines = [header, *([*_sizes(row), *map(cell, row.steps)] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    reasons = [
        f"{row.name}, {step.edge} cubed: {step.text}"
        for row in rows
        for step in row.steps
        if step.outcome != "measured"
    ]
    about = (
        f"{len(SEQUENCES)} sequences, {1 + len(LABELS)} classes, published widths; size of an update by encoding;",
        f"one training step on a batch of {settings.batch} with {settings.device} and {settings.threads} CPU "
        "threads: seconds, and the most memory that network, step and optimiser took",
    )
    return "\n".join([*(line.rstrip() for line in table), *about, *reasons])


def _sizes(row: NetworkFigures) -> list[str]:
    updates = [_update_text(row.update_bytes[encoding]) for encoding in ("float32", "float16", "int8")]
    return [row.name, f"{row.parameters:,}", *updates]


def _update_text(count: int) -> str:
    return size_text(count) if count >= 1e6 else f"{count / 1e3:.0f} kB"


def cell(step: StepFigures) -> str:
    """Seconds and memory, "1.5 s, 1.2 GB"; or why there are none, in a word."""
    if step.seconds is None or step.peak_bytes is None:
        return _WORDS[step.outcome]
    return f"{step.seconds:.3g} s, {size_text(step.peak_bytes)}"
