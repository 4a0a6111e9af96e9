"""The charts of the report, each small enough for a telephone, as inline SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from common.metrics.intervals import Interval
from common.metrics.scores import LARGE_MM3, SMALL_MM3
from simulation.colours import ARMS, site_colour
from simulation.report.content import CurvePoint
from simulation.report.svg import INK, new_figure, to_svg

_WIDTH_INCH = 4.3
_MOST_COLOURED = (
    8  # with more sites, colours come round again: lines turn grey and only their median is told apart
)


def draw_intervals(values: Mapping[str, Interval], title: str, prefix: str, limit: float | None = None) -> str:
    """One row an arm: the estimate as a dot, its interval as a line.

    Args:
        values: by arm (federated, pooled, local).
        title: what is measured.
        prefix: unlike that of any other chart of the page.
        limit: right end of the axis; as wide as needed when left out.
    """
    figure, axis = new_figure(_WIDTH_INCH * 0.78, 0.62 + 0.3 * len(values))
    for row, (arm, interval) in enumerate(values.items()):
        colour = ARMS[arm]
        if interval.low is not None and interval.high is not None:
            axis.plot(
                [interval.low, interval.high], [row, row], color=colour, linewidth=2.4, solid_capstyle="butt"
            )
        if interval.estimate is not None:
            axis.plot([interval.estimate], [row], "o", color=colour, markersize=7)
    axis.set_yticks(range(len(values)), list(values))
    axis.set_ylim(len(values) - 0.5, -0.5)
    axis.set_xlim(0.0, limit)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0, labelsize=10)
    axis.set_title(title, color=INK, fontsize=10, loc="left", fontweight="bold")
    return to_svg(figure, f"{title} by arm: {_spoken(values)}", prefix)


def draw_curves(points: Sequence[CurvePoint], value: str, title: str, prefix: str) -> str:
    """One line a site over the rounds, and the plain mean over sites in the text's colour.

    Args:
        points: rounds and sites in any order; points without the value are left out.
        value: `loss` or `dice`.
        title: of the chart.
        prefix: unlike that of any other chart of the page.
    """
    sites = tuple(dict.fromkeys(point.site for point in points))
    known: dict[str, dict[int, float]] = {site: {} for site in sites}
    for point in points:
        number = point.loss if value == "loss" else point.dice
        if number is not None:
            known[point.site][point.round_id] = number
    rounds = sorted({round_id for line in known.values() for round_id in line})
    if not rounds:
        return ""
    figure, axis = new_figure(_WIDTH_INCH, 2.7)
    many = len(sites) > _MOST_COLOURED
    for index, (site, line) in enumerate(known.items()):
        where = sorted(line)
        style = {"color": INK, "alpha": 0.25} if many else {"color": site_colour(index), "label": site}
        axis.plot(
            where, [line[one] for one in where], linewidth=1.3, marker="." if len(where) < 3 else "", **style
        )
    middle = [float(np.mean([line[one] for line in known.values() if one in line])) for one in rounds]
    if len(sites) > 1:
        axis.plot(rounds, middle, color=INK, linewidth=2.2, linestyle=(0, (4, 2)), label="mean over sites")
    axis.set_xlabel("round", color=INK, fontsize=9)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylim(bottom=0.0, top=1.0 if value == "dice" else None)
    axis.set_title(title, color=INK, fontsize=10, loc="left", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8.5, frameon=False, labelcolor=INK)
    return to_svg(figure, f"{title}: mean over sites from {middle[0]:.2f} to {middle[-1]:.2f}", prefix)


def draw_bands(values: Mapping[str, Sequence[Interval]], labels: Sequence[str], title: str, prefix: str) -> str:
    """Share of lesions found by volume band, the arms side by side with their intervals."""
    figure, axis = new_figure(_WIDTH_INCH * 1.25, 2.6)
    for place, (arm, intervals) in enumerate(values.items()):
        shift = 0.17 * (place - (len(values) - 1) / 2)
        shown = False
        for band, interval in enumerate(intervals):
            if interval.low is not None and interval.high is not None:
                axis.plot([band + shift] * 2, [interval.low, interval.high], color=ARMS[arm], linewidth=2.2)
            if interval.estimate is not None:
                axis.plot(
                    [band + shift],
                    [interval.estimate],
                    marker="osD"[place % 3],
                    linestyle="",
                    color=ARMS[arm],
                    markersize=6.5,
                    label=None if shown else arm,
                )
                shown = True
    axis.set_xticks(range(len(labels)), labels)
    axis.set_xlim(-0.5, len(labels) - 0.5)
    axis.set_ylim(-0.02, 1.02)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.grid(visible=False, axis="x")
    axis.set_title(title, color=INK, fontsize=10, loc="left", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False, labelcolor=INK)
    return to_svg(figure, title, prefix)


def draw_volumes(volumes_mm3: Mapping[str, Sequence[float]], prefix: str) -> str:
    """Histograms of lesion volume, one row a site, on one logarithmic axis; lines at 27 and 275 mm3."""
    filled = {site: np.array(volumes) for site, volumes in volumes_mm3.items()}
    everything = np.concatenate([*filled.values(), np.empty(0)])
    if everything.size == 0:
        return ""
    low, high = np.log10(max(everything.min(), 0.1)), np.log10(everything.max())
    edges = np.logspace(np.floor(low * 4) / 4, np.ceil(high * 4 + 0.01) / 4, 29)
    figure, axis = new_figure(_WIDTH_INCH * 1.5, 0.95 + 0.42 * len(filled))
    for row, volumes in enumerate(filled.values()):
        _draw_histogram(axis, row, volumes, edges)
    for edge in (SMALL_MM3, LARGE_MM3):
        axis.axvline(edge, color=INK, linewidth=1.0, linestyle=(0, (3, 2)), alpha=0.7)
        axis.annotate(
            f"{edge:.0f}",
            (edge, 1.01),
            xycoords=("data", "axes fraction"),
            fontsize=8.5,
            color=INK,
            ha="center",
            va="bottom",
        )
    axis.set_xscale("log")
    ticks = [tick for tick in (1, 10, 100, 1_000, 10_000, 100_000) if edges[0] <= tick <= edges[-1]]
    axis.set_xticks(ticks, [f"{tick:,}".replace(",", "\u202f") for tick in ticks])
    axis.tick_params(axis="x", which="minor", length=0)
    axis.set_xlabel("lesion volume, mm³", color=INK, fontsize=9)
    axis.set_yticks([row + 0.1 for row in range(len(filled))], list(filled))
    axis.set_ylim(len(filled) - 0.55, -0.5)
    axis.grid(visible=False)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    return to_svg(figure, f"histograms of {everything.size} lesion volumes by site", prefix)


def _draw_histogram(axis: Any, row: int, volumes: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> None:
    """One site's row: bars as high as the row, the median, and the number of lesions on the right."""
    counts = np.histogram(volumes, edges)[0]
    heights = 0.82 * counts / max(counts.max(), 1)
    ground = row + 0.4
    axis.bar(edges[:-1], -heights, np.diff(edges), bottom=ground, align="edge", color=site_colour(row), alpha=0.85)
    if volumes.size:
        axis.plot([np.median(volumes)] * 2, [row - 0.46, ground], color=INK, linewidth=1.6)
    axis.axhline(ground, color=INK, linewidth=0.5, alpha=0.4)
    axis.annotate(
        f"{volumes.size}",
        (1.01, row + 0.2),
        xycoords=("axes fraction", "data"),
        fontsize=9,
        color=INK,
        va="center",
    )


def _spoken(values: Mapping[str, Interval]) -> str:
    return ", ".join(
        f"{arm} {interval.estimate:.3f}" for arm, interval in values.items() if interval.estimate is not None
    )
