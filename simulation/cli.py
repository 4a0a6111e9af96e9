"""The researcher's command: `fedmets-sim`."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from common.cli import new_app, run_app
from common.errors import UserError
from common.interrupts import interrupts_held
from server.records import EXIT_CODES
from simulation.ablation_cli import add_ablation_command
from simulation.bench.transport_cli import add_transport_commands
from simulation.comparison_cli import add_compare_command
from simulation.models.cli import add_models_command
from simulation.plan_cli import add_plan_command
from simulation.rescore_cli import add_rescore_command

app = new_app("Simulate a federation on one machine. Research software, not a medical device.")
bench = new_app("Measure what this machine does; every command prints what it compares.")
app.add_typer(bench, name="bench")
add_transport_commands(bench)

ARMS = ("federated", "local", "pooled")


class EngineName(StrEnum):
    """What runs the federated arm; the bits are the same."""

    PROCESSES = "processes"
    FLOWER = "flower"


Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="An experiment file, such as configs/demo.toml.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where everything is written; made if absent.")]
Seed = Annotated[int | None, typer.Option("--seed", help="In place of the file's own seed.", min=0)]
WorkerCount = Annotated[
    int | None,
    typer.Option("--workers", help="Processes side by side, in place of the file's own number.", min=1, max=256),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line on stdout.")]


@app.command()
def run(
    config: Config,
    out: Out,
    arms: Annotated[
        str, typer.Option(help="What to train, separated by commas: federated, local (each site alone), pooled.")
    ] = ",".join(ARMS),
    seed: Seed = None,
    workers: WorkerCount = None,
    engine: Annotated[
        EngineName,
        typer.Option(help="What runs the federated arm: worker processes, or Ray under Flower."),
    ] = EngineName.PROCESSES,
    as_json: AsJson = False,
) -> None:
    """Train and compare: one federation, each site alone, and all data in one place.

    Interrupt it at any time: the same command goes on where it stopped, one round lost at most, and ends in
    the same model to the bit. DIR then holds report.html, result.json, model/ and audit.jsonl.

    Exits with 0 when completed, 3 when partial (a site's work or a round is missing), 1 when failed, 2 when it
    refused before the first round.

    Example:

    \b
        fedmets-sim run configs/demo.toml --out runs/demo
        fedmets-sim run configs/demo.toml --out runs/alone --arms local --seed 7
    """
    with interrupts_held():  # here, because torch takes seconds to load and --help need not wait for it
        from simulation.config import load_experiment
        from simulation.engines import build_engine
        from simulation.progress import build_progress
        from simulation.run import Options, run_experiment

    experiment = load_experiment(config, seed, workers)
    options = Options(arms=_arms(arms), config_text=config.read_text(encoding="utf-8"))
    with build_progress(as_json) as progress:
        outcome = run_experiment(experiment, out, options, progress, build_engine(engine))
    _tell_end(outcome.status, outcome.text, out / "result.json", as_json)
    raise typer.Exit(EXIT_CODES[outcome.status])


@app.command()
def deploy(
    config: Config,
    out: Out,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Run the federated arm as a real deployment on this machine: an aggregator and a daemon for every site.

    Authority, enrolment, TLS, signed plan, tasks and updates, SuperLink, SuperNodes: the processes that a
    consortium and its hospitals run, on the loopback address. The plan is approved without asking. The model has
    the same sha256 as `run` gives with the same file and seed. Nothing is left running. Run the same command
    again to go on.

    Example:

    \b
        fedmets-sim deploy configs/deploy.toml --out runs/deploy
    """
    with interrupts_held():
        from simulation.config import load_experiment
        from simulation.deploy import run_deployed
        from simulation.progress import build_progress
        from simulation.run import Options, run_experiment
    experiment = load_experiment(config, seed, None)
    options = Options(arms=("federated",), config_text=config.read_text(encoding="utf-8"))
    with build_progress(as_json) as progress:
        outcome = run_experiment(experiment, out, options, progress, run_deployed)
    _tell_end(outcome.status, outcome.text, out / "result.json", as_json)
    raise typer.Exit(EXIT_CODES[outcome.status])


@app.command()
def study(
    config: Config,
    out: Out,
    seeds: Annotated[int, typer.Option(help="How many seeds, from the file's own seed up.", min=2, max=50)] = 3,
    arms: Annotated[str, typer.Option(help="As for `run`.")] = ",".join(ARMS),
    workers: WorkerCount = None,
    as_json: AsJson = False,
) -> None:
    """Repeat a run over several seeds and report means with intervals over seeds.

    Every seed draws its own phantoms, splits, first weights and batches, in DIR/seed-N; DIR then holds
    study.html, study.json and study.md. Interrupt it at any time and repeat the command to go on.

    Example:

    \b
        fedmets-sim study configs/study.toml --out runs/study --seeds 3
    """
    with interrupts_held():
        from simulation.config import load_experiment
        from simulation.progress import build_progress
        from simulation.run import Options
        from simulation.study import run_study

    experiment = load_experiment(config, None, workers)
    options = Options(arms=_arms(arms), config_text=config.read_text(encoding="utf-8"))
    with build_progress(as_json) as progress:
        summary = run_study(experiment, out, seeds, options, progress)
    _tell_end(summary.status, summary.text, out / "study.json", as_json)
    raise typer.Exit(EXIT_CODES[summary.status])


@app.command()
def partition(
    config: Config,
    out: Out,
    folders: Annotated[
        bool, typer.Option("--folders", help="Also a data folder per site, for a site daemon to be pointed at.")
    ] = False,
    seed: Seed = None,
    workers: WorkerCount = None,
    as_json: AsJson = False,
) -> None:
    """Show which case falls to which site, and how unlike the sites are, without training.

    DIR then holds sites.csv (which kind = "table" reads back), sites.png and sites.json.

    Example:

    \b
        fedmets-sim partition configs/demo.toml --out runs/sites --folders
    """
    from simulation.config import load_experiment
    from simulation.partition.command import partition_command
    from simulation.progress import build_progress

    experiment = load_experiment(config, seed, workers)
    with build_progress(as_json) as progress:
        summary = partition_command(experiment, out, folders, progress)
    print(json.dumps(summary.numbers) if as_json else summary.text)


add_compare_command(app)
add_rescore_command(app)
add_plan_command(app)
add_models_command(app)
add_ablation_command(app)


@bench.command("train")
def bench_train(
    steps: Annotated[int, typer.Option(help="Optimiser steps on each side.", min=4)] = 150,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads, on both sides.", min=1)] = 1,
) -> None:
    """Our local loop beside a plain MONAI loop: same network, patches and steps, one process."""
    from client.device import torch_device
    from client.training import use_threads
    from simulation.bench import train

    use_threads(threads)
    print(train.render(train.run(steps, str(torch_device(device)))))


@bench.command("warm")
def bench_warm(
    rounds: Annotated[int, typer.Option(help="Rounds of one step each, after one to warm up.", min=1)] = 5,
) -> None:
    """From a task's arrival at a warm site to its first training step, with 31.2 million parameters on the CPU.

    First from the message in the worker's hands; then from its last byte at the site, through a whole federation
    of one site over TLS. Some two minutes.
    """
    from common.plan import ModelSpec
    from simulation.bench import arrival, warm

    print(warm.render(warm.run(rounds)), flush=True)
    print(arrival.render(arrival.run(rounds, ModelSpec())))


@bench.command("aggregate")
def bench_aggregate() -> None:
    """Summing 31.2 million parameters of 2, 8 and 32 sites beside a bare numpy sum."""
    from simulation.bench import aggregate

    print(aggregate.render(aggregate.run()))


@bench.command("phantom")
def bench_phantom(
    cases: Annotated[int, typer.Option(help="How many cases of 96 cubed to write.", min=1)] = 8,
) -> None:
    """Seconds to draw, render and write a phantom case on one core."""
    from simulation.bench import phantom

    print(phantom.run(cases))


@bench.command("metrics")
def bench_metrics(
    lesions: Annotated[int, typer.Option(help="Reference lesions in the head of 240 x 240 x 155.", min=1)] = 30,
) -> None:
    """Every measure of one region of a whole head beside a plain implementation on whole volumes."""
    from simulation.bench import metrics

    print(metrics.render(metrics.run(lesions)))


def main() -> None:
    """Entry point of `fedmets-sim`."""
    sys.exit(run_app(app, "fedmets-sim"))


def _tell_end(status: str, text: str, path: Path, as_json: bool) -> None:
    print(json.dumps({"event": "result", "status": status, "path": str(path)}) if as_json else text)


def _arms(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(arm.strip() for arm in text.split(",") if arm.strip()))
    unknown = [arm for arm in chosen if arm not in ARMS]
    if unknown or not chosen:
        raise UserError(f"--arms {text!r}: choose from {', '.join(ARMS)}, separated by commas")
    return tuple(arm for arm in ARMS if arm in chosen)
