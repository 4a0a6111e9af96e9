"""The page of a study: several seeds of one experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.durable import write_durably
from common.metrics.detection import MATCHING_RULE
from common.metrics.intervals import Interval
from common.metrics.scores import VOLUME_BANDS
from simulation.report.figures import draw_bands, draw_intervals
from simulation.report.markup import bullets, escape, number, ratio, section, signed, span, table, with_span
from simulation.report.page import DISCLAIMER, page
from simulation.report.reading import ARM_NAMES, MEASURES
from simulation.report.sections import BAND_NAMES


def write_study(
    path: Path,
    name: str,
    results: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    config_text: str,
    cohort: str,
) -> None:
    """Write the study's page, durably.

    Args:
        path: the HTML file.
        name: of the experiment.
        results: result.json of every seed.
        summary: of those results, by study.summarise_study.
        config_text: the experiment file as the user wrote it.
        cohort: what the images are.

    Raises:
        StorageError: the disk is full.
    """
    notes = dict.fromkeys(note for result in results for note in result.get("notes", ()))
    parts = [
        f"<header><h1>{escape(name)}: study over {len(results)} seeds</h1>"
        f"<p>{escape(cohort)}. Seeds {escape(', '.join(map(str, summary['seeds'])))}.</p>"
        f'<p class="device">{DISCLAIMER}</p></header>',
        _status(summary),
        f'<p class="headline">{_headline(summary)}</p>',
        f'<aside class="notes"><h2>Read this first</h2>{bullets(map(escape, notes))}</aside>' if notes else "",
        section("The arms over seeds", _arms(summary), "arms"),
        section("Lesion size decides", _bands(summary), "size"),
        section("Seed by seed", _seeds(results, summary), "seeds"),
        section("Definitions", _definitions(summary), "definitions"),
        section("Configuration", f"<pre>{escape(config_text)}</pre>", "configuration"),
    ]
    write_durably(path, page(f"{name}: study", "".join(parts)).encode())


def _status(summary: Mapping[str, Any]) -> str:
    worst = next((s for s in ("failed", "partial") if s in summary["status"].values()), "completed")
    return f'<p class="status {worst}"><b>{worst}</b> {len(summary["seeds"])} seeds</p>'


def _headline(summary: Mapping[str, Any]) -> str:
    share = Interval(**summary["federated_over_pooled"]["dice"])
    gain = Interval(**summary["federated_minus_local"]["dice"])
    sentences = []
    if share.estimate is not None:
        sentences.append(
            f"Federated training reaches {ratio(share.estimate)} of pooled training's Dice "
            f"({span(share, ratio)} over seeds)."
        )
    if gain.estimate is not None:
        sentences.append(
            f"Against a site alone it changes Dice by {signed(gain.estimate)} ({span(gain, signed)})."
        )
    return " ".join(sentences) or "No two arms to compare."


def _arms(summary: Mapping[str, Any]) -> str:
    arms = summary["arms"]
    charts = "".join(
        draw_intervals(
            {arm: Interval(**arms[arm][m]) for arm in arms},
            title,
            f"s-{m}",
            None if m == "fp_per_scan" else 1.0,
        )
        for m, title in MEASURES.items()
    )
    rows = [
        [title, *(with_span(Interval(**arms[arm][m]), number) for arm in arms)] for m, title in MEASURES.items()
    ]
    compared = [
        [label, *(with_span(Interval(**summary[key][m]), write) for m in MEASURES)]
        for key, label, write in (
            ("federated_over_pooled", "federated / pooled", number),
            ("federated_minus_local", "federated − local", signed),
        )
        if summary[key]["dice"]["estimate"] is not None
    ]
    second = table(["within each seed, then averaged", *MEASURES.values()], compared) if compared else ""
    first = table(["mean over seeds", *(ARM_NAMES[arm] for arm in arms)], rows)
    return f'<div class="charts pairs">{charts}</div>{first}{second}'


def _bands(summary: Mapping[str, Any]) -> str:
    arms = {arm: scores["sensitivity_by_volume"] for arm, scores in summary["arms"].items()}
    if not arms:
        return ""
    counts = {band: max(shares[band]["lesions"] for shares in arms.values()) for band in VOLUME_BANDS}
    values = {arm: [Interval(**shares[band]["value"]) for band in VOLUME_BANDS] for arm, shares in arms.items()}
    labels = [f"{BAND_NAMES[band]}\n{counts[band]} lesions" for band in VOLUME_BANDS]
    chart = draw_bands(values, labels, "Share of lesions found, by volume", "s-bands")
    rows = [
        [BAND_NAMES[band], str(counts[band]), *(with_span(values[arm][place], number) for arm in arms)]
        for place, band in enumerate(VOLUME_BANDS)
    ]
    head = ["volume", "lesions, all seeds", *(ARM_NAMES[arm] for arm in arms)]
    return f'<div class="charts">{chart}</div>' + table(head, rows)


def _seeds(results: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    rows = [
        [
            str(seed),
            escape(summary["status"][str(seed)]),
            *(number(summary["per_seed"][arm][place]) for arm in summary["arms"]),
            f"{(results[place].get('seconds') or {}).get('total') or 0.0:.0f}",
        ]
        for place, seed in enumerate(summary["seeds"])
    ]
    return table(["seed", "status", *(f"Dice, {arm}" for arm in summary["arms"]), "seconds"], rows)


def _definitions(summary: Mapping[str, Any]) -> str:
    return (
        f"<p>Every seed draws its own cohort or split, first weights and batches. Intervals: "
        f"{escape(summary['interval'])}; they are wide with few seeds. A ratio or difference is formed within "
        f"each seed. Lesions: {escape(MATCHING_RULE)}.</p>"
    )
