"""`fedmets-sim ablation`: what each trick changes, against one base setting."""

import json
from pathlib import Path
from typing import Annotated

import typer

from common.errors import UserError
from common.interrupts import interrupts_held
from server.records import EXIT_CODES


def add_ablation_command(app: typer.Typer) -> None:
    """Add ablation."""
    app.command()(ablation)


def ablation(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="An ablation file, such as configs/ablation.toml.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where everything is written; made if absent.")
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", metavar="NAME", help="Run this row, and what it is compared with; repeatable."),
    ] = None,
    show_rows: Annotated[bool, typer.Option("--list", help="List the rows and run nothing.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", help="Processes side by side, in place of the file's own number.", min=1, max=256
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line on stdout.")] = False,
) -> None:
    """Train a base setting and rows that each change a few of its settings; print what every row changed.

    All rows are checked before the first is trained. They share the phantoms and the test patients; rows that
    change only what comes after prediction share the base's models. Interrupt it at any time: the same command
    reads finished rows back and takes an unfinished one up at its round. DIR then holds ablation.html,
    ablation.md and ablation.json, written anew after every row.

    Exits with 0 when every row is complete, 3 when a row failed or lacks some site's work, 1 when the base failed,
    2 when it refused before the first round.

    Example:

    \b
        fedmets-sim ablation configs/ablation.toml --out runs/ablation
        fedmets-sim ablation configs/ablation.toml --out runs/ablation --row tversky --row blob
        fedmets-sim ablation configs/ablation.toml --list
    """
    with interrupts_held():
        from simulation.ablation.config import load_ablation
        from simulation.ablation.listing import rows_as_json, rows_as_text
        from simulation.ablation.output import TABLE_FILE
        from simulation.ablation.run import run_ablation
        from simulation.progress import build_progress

    planned = load_ablation(config, workers)
    if show_rows:
        print(json.dumps(rows_as_json(planned)) if as_json else rows_as_text(planned))
        return
    if out is None:
        raise UserError("--out DIR is needed to run rows; --list shows them")
    with build_progress(as_json) as progress:
        summary = run_ablation(planned, out, row or (), progress)
    told = {"event": "result", "status": summary.status, "path": str(out / TABLE_FILE)}
    print(json.dumps(told) if as_json else summary.text)
    raise typer.Exit(EXIT_CODES[summary.status])
