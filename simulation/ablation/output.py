"""ablation.json, ablation.md and ablation.html, and what the terminal shows of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.durable import write_durably
from common.metrics.intervals import Interval
from common.notice import NOTICE
from simulation.ablation.page import ablation_page
from simulation.ablation.table import MEASURES

TABLE_FILE = "ablation.json"
PAGE_FILE = "ablation.html"
_IN_THE_TERMINAL = {
    "dice": "Dice",
    "sensitivity_under_27": "<27 mm3",
    "sensitivity_27_to_275": "27-275 mm3",
    "fp_per_scan": "FP/scan",
}


def write_table(folder: Path, table: Mapping[str, Any], config_text: str) -> None:
    """Write all three files durably; raises StorageError."""
    write_durably(folder / TABLE_FILE, json.dumps(table, indent=1, allow_nan=False).encode())
    write_durably(folder / "ablation.md", as_markdown(table).encode())
    write_durably(folder / PAGE_FILE, ablation_page(table, config_text).encode())


def headline(table: Mapping[str, Any], folder: Path) -> str:
    """The table for a terminal: two lines a row."""
    wide = max(len(row["name"]) for row in table["rows"])
    lines = [f"{table['name']}: {table['patients']} patients, {_lesions(table)}; change against the base:"]
    for row in table["rows"]:
        other = "" if row["against"] in (None, "base") else f" (against {row['against']})"
        lines.append(f"{row['name']:<{wide}}  {row['verdict']}{other}")
        if row["effects"]:
            cells = [f"{title} {change_text(row, name)}" for name, title in _IN_THE_TERMINAL.items()]
            lines.append(f"{'':<{wide}}  {', '.join(cells)}")
        elif row["scores"]:
            known = [f"{t} {score_text(row, name)}" for name, t in _IN_THE_TERMINAL.items()]
            lines.append(f"{'':<{wide}}  {', '.join(known)}")
    lines += [chance_text(table), f"{folder / PAGE_FILE} - {NOTICE}"]
    return "\n".join(lines)


def as_markdown(table: Mapping[str, Any]) -> str:
    """Two tables, what each row changed and what it scored, and how to read them."""
    shown = list(MEASURES)
    changes = [
        [_titled(row), *(change_text(row, name) for name in shown), row["verdict"]]
        for row in table["rows"]
        if row["against"] is not None
    ]
    scores = [
        [row["name"], *(score_text(row, name) for name in shown), _seconds(row), _settings(row)]
        for row in table["rows"]
    ]
    heads = list(MEASURES.values())
    parts = [
        f"# {table['name']} ({table['cohort']})",
        f"{table['patients']} test patients, {_lesions(table)}.",
        _table(["change against the base", *heads, "verdict"], changes),
        _table(["mean over trainings", *heads, "seconds", "settings"], scores),
        f"Intervals: {table['interval']}. {chance_text(table)} {noise_text(table)}",
        "Research software, not a medical device.",
    ]
    return "\n\n".join(parts) + "\n"


def change_text(row: Mapping[str, Any], measure: str) -> str:
    """ "+0.012 (-0.020 to +0.031)"; a dash where there is nothing to tell."""
    if not row["effects"] or row["effects"][measure]["estimate"] is None:
        return "–"
    interval = Interval(**row["effects"][measure])
    ends = "" if interval.low is None else f" ({interval.low:+.3f} to {interval.high:+.3f})"
    return f"{interval.estimate:+.3f}{ends}"


def score_text(row: Mapping[str, Any], measure: str) -> str:
    """ "0.512"; a dash where there is none."""
    value = row["scores"][measure] if row["scores"] else None
    return "–" if value is None else f"{value:.3f}"


def chance_text(table: Mapping[str, Any]) -> str:
    """How many verdicts to expect of rows that change nothing."""
    return (
        f"Nothing is corrected for several comparisons: of {table['comparisons']} intervals about "
        f"{table['by_chance']:g} would miss 0 if no row changed anything."
    )


def noise_text(table: Mapping[str, Any]) -> str:
    """How far two trainings of one configuration lie apart."""
    noise = table["noise"]["dice"]
    if noise["sd"] is None:
        return "No row was trained twice, so the noise of a training is unknown and no row that trains is judged."
    return (
        f"From training to training Dice has a standard deviation of {noise['sd']:.3f} "
        f"({noise['degrees_of_freedom']} degrees of freedom)."
    )


def _lesions(table: Mapping[str, Any]) -> str:
    counts = table["lesions"]
    return (
        f"{sum(counts.values())} lesions ({counts['under_27']} under 27 mm3, {counts['27_to_275']} of 27 to 275, "
        f"{counts['over_275']} over 275)"
    )


def _titled(row: Mapping[str, Any]) -> str:
    return row["name"] if row["against"] == "base" else f"{row['name']} (against {row['against']})"


def _seconds(row: Mapping[str, Any]) -> str:
    return "–" if row["seconds"] is None else f"{row['seconds']:.0f}"


def _settings(row: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name} = {json.dumps(value)}`" for name, value in row["set"].items())


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
