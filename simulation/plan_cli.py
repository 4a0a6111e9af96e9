"""`fedmets-sim plan`: what nnU-Net's rules plan for a dataset, and why."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PlannedName(StrEnum):
    """nnU-Net's planners, by the network that they plan."""

    UNET = "unet"
    UNET_RESENC = "unet_resenc"
    UNET_RESENC_M = "unet_resenc_m"
    UNET_RESENC_L = "unet_resenc_l"
    UNET_RESENC_XL = "unet_resenc_xl"


def add_plan_command(app: typer.Typer) -> None:
    """Add plan."""
    app.command()(plan)


def plan(
    config: Annotated[
        Path,
        typer.Argument(metavar="DATA_CONFIG", help="An experiment file; its cases are looked at."),
    ],
    memory_gb: Annotated[
        float | None,
        typer.Option(
            "--memory-gb",
            help="Memory of the GPU, by nnU-Net's scale; left out: 8, of preset L 24, of XL 40.",
            min=0.5,
            max=1024.0,
        ),
    ] = None,
    network: Annotated[
        PlannedName, typer.Option(help="With plain or residual stages, the latter also by nnU-Net's presets.")
    ] = PlannedName.UNET,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE.toml", help="Also write the settings as TOML.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Plan spacing, patch, network and batch from a dataset, and say why.

    Every case is looked at as training would; nothing is trained. The rules are those of nnU-Net, version 2
    (docs/planning.md). Progress goes to stderr.

    Example:

    \b
        fedmets-sim plan cohort.toml
        fedmets-sim plan cohort.toml --network unet_resenc_l --write planned.toml
    """
    from common.durable import write_durably
    from common.planning.network_plan import Request, plan_network
    from common.planning.planners import PLANNERS
    from common.planning.settings import as_toml
    from simulation.config import load_experiment
    from simulation.plan_report import as_numbers, as_text
    from simulation.planning import fits_experiment, survey_experiment
    from simulation.progress import build_progress

    experiment = load_experiment(config)
    with build_progress(as_json=False) as progress:
        surveyed = survey_experiment(experiment, progress)
    memory = PLANNERS[network.value].reference_gb if memory_gb is None else memory_gb
    request = Request(experiment.sequences, experiment.labels, memory, network.value)
    planned = plan_network(surveyed.fingerprint, request)
    if write is not None:
        fits_experiment(planned, experiment)
        write_durably(write, as_toml(planned, config.name).encode())
    if as_json:
        print(json.dumps(as_numbers(planned, surveyed.quarantined), allow_nan=False))
    else:
        print(as_text(planned, surveyed.quarantined))
