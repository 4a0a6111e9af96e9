"""`fedmets-sim models`: what each network costs on this machine."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, get_args

import typer

from common.errors import UserError
from common.interrupts import interrupts_held
from common.model_spec import ModelSpec, NetworkName


def add_models_command(app: typer.Typer) -> None:
    """Add models."""
    app.command()(models)


def models(
    names: Annotated[
        list[str] | None, typer.Option("--name", help="Only this network; repeatable. Default: all.")
    ] = None,
    patch: Annotated[str, typer.Option(help="Edges of the cubic patches, separated by commas.")] = "64,128",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    batch: Annotated[int, typer.Option(help="Patches a step.", min=1)] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for one network and patch.", min=1.0)] = 600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show parameters, bytes of an update, and memory and seconds of a training step for every network.

    Each measurement is a process of its own that may take nine tenths of the memory that is free: what does not
    fit, or does not end in time, is said, and the others go on. Weights are random and patches are noise.

    Example:

    \b
        fedmets-sim models
        fedmets-sim models --name unet --name vnet --patch 64 --json
    """
    specs = _specs(names)
    edges = _edges(patch)
    with interrupts_held():  # here, because torch takes seconds to load and --help need not wait for it
        from client.device import torch_device
        from simulation.models import table, trial

    settings = trial.Settings(str(torch_device(device)), threads, batch, timeout)
    rows = []
    for spec in specs:
        steps = []
        for edge in edges:
            print(f"{spec.name}, {edge} cubed: measuring ...", file=sys.stderr, flush=True)
            steps.append(trial.measure_step(spec, edge, settings))
            print(f"{spec.name}, {edge} cubed: {table.cell(steps[-1])}", file=sys.stderr, flush=True)
        rows.append(table.figures_of(spec, steps))
    print(json.dumps(table.as_json(rows, settings)) if as_json else table.as_text(rows, settings))


def _specs(names: Sequence[str] | None) -> list[ModelSpec]:
    known: tuple[NetworkName, ...] = get_args(NetworkName)
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise UserError(f"--name {unknown[0]}: no such network; choose from {', '.join(known)}")
    return [ModelSpec(name=name) for name in known if not names or name in names]


def _edges(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--patch {text!r}: give edges in voxels, separated by commas, such as 64,128")
    return [int(part) for part in dict.fromkeys(parts)]
