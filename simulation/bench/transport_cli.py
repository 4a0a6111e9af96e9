"""`fedmets-sim bench transport` and `fedmets-sim bench encodings`."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from common.compression import Encoding
from common.errors import UserError

Encodings = Annotated[str, typer.Option(help="What is measured, separated by commas: float32, float16, int8.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
_ENCODINGS: dict[str, Encoding] = {"float32": "float32", "float16": "float16", "int8": "int8"}
_ALL = ",".join(_ENCODINGS)


def add_transport_commands(bench: typer.Typer) -> None:
    """Add transport and encodings."""
    bench.command("transport")(transport)
    bench.command("encodings")(encodings)


def transport(
    sites: Annotated[str, typer.Option(help="Numbers of sites, separated by commas.")] = "2,4,8",
    encodings: Encodings = _ALL,
    rounds: Annotated[int, typer.Option(help="Measured rounds of each, after one to warm up.", min=1)] = 2,
    plain: Annotated[
        bool, typer.Option("--plain/--no-plain", help="Also plain Flower with as many sites.")
    ] = True,
    gateway: Annotated[bool, typer.Option("--gateway/--no-gateway", help="As deployed, or past it.")] = True,
    count: Annotated[
        bool, typer.Option("--count/--no-count", help="Also count bytes, in runs of their own.")
    ] = True,
    small: Annotated[bool, typer.Option("--small", help="A network of 6 thousand parameters.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rounds without training over real processes and TLS, beside plain Flower FedAvg with the same network.

    31.2 million parameters; about half an hour with all three numbers of sites on two cores. A trial that fails is
    said and left out. Exits with 1 when one did.

    Example:

    \b
        fedmets-sim bench transport
        fedmets-sim bench transport --sites 2 --encodings float16 --no-plain
    """
    from simulation.bench.plain_flower import LARGE_MODEL
    from simulation.bench.transport import SMALL_MODEL, TransportOptions, run
    from simulation.bench.transport_table import render, to_json

    options = TransportOptions(
        sites=tuple(sorted(_numbers(sites))),
        encodings=_encodings(encodings),
        rounds=rounds,
        plain=plain,
        gateway=gateway,
        count=count,
        model=SMALL_MODEL if small else LARGE_MODEL,
    )
    result = run(options, _say)
    print(to_json(result) if as_json else render(result))
    if result.failures:
        raise typer.Exit(1)


def encodings(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="An experiment file.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the runs go, one folder an encoding.")],
    encodings: Encodings = _ALL,
    seeds: Annotated[int, typer.Option(help="How many, from the file's own up.", min=2, max=50)] = 5,
    as_json: AsJson = False,
) -> None:
    """Dice of the same federation with float32, float16 and int8 in both directions, and the paired differences.

    Exits with 1 when a mean difference over the seeds is beyond noise.

    Example:

    \b
        fedmets-sim bench encodings configs/deploy.toml --out runs/encodings
    """
    from common.interrupts import interrupts_held

    with interrupts_held():  # torch is imported here
        from simulation.bench.encodings import render, run, to_json
        from simulation.config import load_experiment

    chosen, first = _encodings(encodings), load_experiment(config)
    experiments = [load_experiment(config, first.seed + number) for number in range(seeds)]
    found = run(experiments, config.read_text(encoding="utf-8"), out, chosen, _say)
    print(to_json(found) if as_json else render(found))
    if not all(found.is_within_noise(encoding) for encoding in found.over_seeds):
        raise typer.Exit(1)


def _numbers(text: str) -> set[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UserError(f"--sites {text!r}: give numbers of sites, separated by commas, such as 2,4,8")
    return {int(word) for word in words}


def _encodings(text: str) -> tuple[Encoding, ...]:
    chosen = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not chosen or any(word not in _ENCODINGS for word in chosen):
        raise UserError(f"--encodings {text!r}: choose from {', '.join(_ENCODINGS)}, separated by commas")
    return tuple(_ENCODINGS[word] for word in chosen)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
