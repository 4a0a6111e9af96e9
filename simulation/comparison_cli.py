"""`fedmets-sim compare`: two runs on the same patients, side by side."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from common.notice import NOTICE

_NAMES = {
    "dice": "Dice",
    "lesion_sensitivity": "lesion sensitivity",
    "lesion_precision": "lesion precision",
    "fp_per_scan": "false positives per scan",
    "sensitivity_under_27": "sensitivity under 27 mm3",
    "sensitivity_27_to_275": "sensitivity 27 to 275 mm3",
    "sensitivity_over_275": "sensitivity over 275 mm3",
}


def add_compare_command(app: typer.Typer) -> None:
    """Add compare."""
    app.command()(compare)


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run's folder.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another's, or the same for another arm of it.")],
    arm: Annotated[str, typer.Option(help="Which model of A: federated, pooled or local-SITE.")] = "federated",
    other_arm: Annotated[str | None, typer.Option(help="Which model of B; default: as of A.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare two runs, or two models of one run, on the same test patients.

    Every difference is A minus B on the same draw of patients, with a 95 % interval; p is of Wilcoxon's signed
    ranks over patients, corrected by Holm. Groups of patients are compared by how much their Dice changed
    (Mann-Whitney, Holm); groups of fewer than five patients are suppressed.

    Example:

    \b
        fedmets-sim compare runs/fedprox runs/fedavg
        fedmets-sim compare runs/demo runs/demo --other-arm pooled
    """
    from simulation.comparison import compare_runs, read_arm, read_traits

    ours, theirs = read_arm(first, arm), read_arm(second, other_arm or arm)
    found = compare_runs(ours, theirs, read_traits(first))
    print(json.dumps(found, allow_nan=False) if as_json else as_text(found))


def as_text(found: Mapping[str, Any]) -> str:
    """A few lines a person can read; one for each measure and for each group that may be shown."""
    first, second = (f"{found[side]['folder']} ({found[side]['arm']})" for side in ("first", "second"))
    lines = [f"A = {first}, B = {second}: {found['patients']} patients, {found['cases']} cases"]
    for measure, row in found["measures"].items():
        if row["difference"]["estimate"] is not None:
            ours, theirs = row["first"]["estimate"], row["second"]["estimate"]
            change = _change(row["difference"], row["p_holm"])
            lines.append(f"  {_NAMES[measure]:<26} A {ours:.3f}  B {theirs:.3f}  A - B {change}")
    shown = [
        f"  {field.replace('_', ' ')}, {row['group']}: {row['patients']} patients, "
        f"{_change(row['difference'], row['p_holm'])}"
        for field, rows in found["groups"].items()
        for row in rows
        if not row["suppressed"] and len(rows) > 1
    ]
    hidden = sum(row["suppressed"] for rows in found["groups"].values() for row in rows)
    if shown:
        lines += ["A - B of Dice by group of patients; p: does the group change unlike the others", *shown]
    if hidden:
        lines.append(
            f"  {hidden} groups suppressed: fewer than five patients, or they would give such a group away"
        )
    return "\n".join([*lines, *found["notes"], NOTICE])


def _change(interval: Mapping[str, Any], p: float | None) -> str:
    ends = "" if interval["low"] is None else f" ({interval['low']:+.3f} to {interval['high']:+.3f})"
    return f"{interval['estimate']:+.3f}{ends}{'' if p is None else f', p {p:.3f}'}"
