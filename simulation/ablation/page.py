"""The page of an ablation: a picture of what every row changed, the tables behind it, and how to read them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from common.metrics.intervals import Interval
from simulation.ablation.figure import draw_forest
from simulation.ablation.table import MEASURES, UNKNOWN, direction_of
from simulation.report.markup import NONE, escape, number, rate, section, signed, signed_rate, span, table
from simulation.report.page import DISCLAIMER, page

_PICTURE = (
    "A mark is the change against the row of the comparison, a line its 95&nbsp;% interval. Upward marks are "
    "gains, downward ones losses; a dot is a change that cannot be told from none. Fewer false positives gain."
)


def ablation_page(found: Mapping[str, Any], config_text: str) -> str:
    """A complete page of ablation.json.

    Args:
        found: the table.
        config_text: the ablation's file as the user wrote it.
    """
    judged = [row for row in found["rows"] if row["effects"]]
    parts = [
        f"<header><h1>{escape(found['name'])}: what each setting changed</h1><p>{escape(found['cohort'])}. "
        f"{found['patients']} test patients, {sum(found['lesions'].values())} lesions.</p>"
        f'<p class="device">{DISCLAIMER}</p></header>',
        f'<p class="headline">{_headline(found)}</p>',
        section("The picture", _picture(found), "picture"),
        section("What changed", _changes(found) if judged else "", "changes"),
        section("Scores", _scores(found), "scores"),
        section("Settings", _settings(found), "settings"),
        section("How to read this", _method(found), "method"),
        section("Configuration", f"<pre>{escape(config_text)}</pre>", "configuration"),
    ]
    return page(f"{found['name']}: ablation", "".join(parts))


def _headline(found: Mapping[str, Any]) -> str:
    told = {"better": 0, "worse": 0, "neither": 0}
    compared = [row for row in found["rows"] if row["against"] is not None]
    for row in (row for row in compared if row["effects"]):
        intervals = {name: Interval(**row["effects"][name]) for name in MEASURES}
        ways = {direction_of(name, interval) for name, interval in intervals.items() if interval.low is not None}
        told["better"] += 1 in ways
        told["worse"] += -1 in ways
        told["neither"] += ways == {0}
    waiting = sum(row["status"] in ("not run", "failed") for row in compared)
    unjudged = sum(row["verdict"] == UNKNOWN or not row["effects"] for row in compared) - waiting
    left = f" {waiting} did not run or failed." if waiting else ""
    left += f" {unjudged} cannot be judged." if unjudged else ""
    return (
        f"Of {len(found['rows']) - 1} rows {told['better']} gained in some measure, {told['worse']} lost in some, "
        f"and {told['neither']} did nothing that can be told here.{left}"
    )


def _picture(found: Mapping[str, Any]) -> str:
    chart = draw_forest(found["rows"], "a-forest")
    return f'<p>{_PICTURE}</p><div class="charts">{chart}</div>' if chart else ""


def _changes(found: Mapping[str, Any]) -> str:
    rows = [
        [f"{_name(row)}<small><b>{escape(row['verdict'])}</b></small>", *(_change(row, name) for name in MEASURES)]
        for row in found["rows"]
        if row["against"] is not None
    ]
    return table(["row and verdict", *MEASURES.values()], rows)


def _change(row: Mapping[str, Any], measure: str) -> str:
    if not row["effects"]:
        return NONE
    interval = Interval(**row["effects"][measure])
    write: Callable[[float | None], str] = signed_rate if measure == "fp_per_scan" else signed
    kind = {1: ' class="up"', -1: ' class="down"', 0: ""}[direction_of(measure, interval)]
    ends = f"<small>{span(interval, write)}</small>" if interval.low is not None else ""
    return f"<b{kind}>{write(interval.estimate)}</b>{ends}"


def _scores(found: Mapping[str, Any]) -> str:
    rows = []
    for row in (row for row in found["rows"] if row["scores"]):
        cells = [(rate if name == "fp_per_scan" else number)(row["scores"][name]) for name in MEASURES]
        rows.append([escape(row["name"]), *cells, str(len(row["per_model"])), f"{row['seconds']:.0f}"])
    return table(["mean over models", *MEASURES.values(), "models", "seconds"], rows)


def _settings(found: Mapping[str, Any]) -> str:
    rows = [
        [
            escape(row["name"]),
            escape(row["group"] or NONE),
            "<br>".join(escape(f"{name} = {json.dumps(value)}") for name, value in row["set"].items()) or NONE,
            escape(row["status"]),
        ]
        for row in found["rows"]
    ]
    return table(["row", "group", "settings", "status"], rows)


def _method(found: Mapping[str, Any]) -> str:
    noise = [
        f"{title} {number(found['noise'][name]['sd'])}"
        for name, title in MEASURES.items()
        if name in found["noise"]
    ]
    return (
        f"<p>{escape(found['interval'])}. The verdict follows from the intervals alone. Nothing is corrected "
        f"for several comparisons: of {found['comparisons']} intervals about {found['by_chance']:g} would miss "
        "0 if no row changed anything.</p>"
        f"<p>Standard deviation from training to training: {escape(', '.join(noise))}.</p>"
        f"<p>Every row is judged on the same test patients. Lesions: {escape(found['matching_rule'])}.</p>"
    )


def _name(row: Mapping[str, Any]) -> str:
    against = "" if row["against"] == "base" else f"<small>against {escape(row['against'])}</small>"
    why = f"<small>{escape(row['why'])}</small>" if row["why"] else ""
    return f"{escape(row['name'])}{against}{why}"
