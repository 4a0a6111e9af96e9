"""A picture of how unlike the sites of a partition are: one row a site, one column a question."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from client.data.case import Case
from common.metrics.scores import LARGE_MM3, SMALL_MM3
from simulation.colours import REST, VALUES, site_colour
from simulation.partition.build import Partition
from simulation.partition.unlikeness import Farthest, unlikeness

_METADATA = (("primary_cancer", "primary cancer"), ("field_strength_t", "field strength (T)"), ("sex", "sex"))
_ROW_INCH, _FRAME_INCH, _COLUMN_INCH, _NARROW = 0.4, 1.8, 3.0, 0.75
_GREY = "#555555"


def draw_partition(path: Path, partition: Partition, volumes_mm3: Mapping[str, Sequence[float]]) -> None:
    """Write a PNG: patients and exams, lesions per exam, lesion volumes, and metadata where it is known.

    Args:
        path: the PNG to write.
        partition: cases by site.
        volumes_mm3: lesion volumes by exam.
    """
    questions = [(column, name) for column, name in _METADATA if _differs(partition, column)]
    columns = 3 + len(questions)
    rows = len(partition.sites)
    widths = [1.0] * 3 + [_NARROW] * len(questions)
    size = (_COLUMN_INCH * sum(widths) + 1, _ROW_INCH * rows + _FRAME_INCH)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, sharey=True, squeeze=False, width_ratios=widths)[0]
    _draw_sizes(axes[0], partition)
    _draw_counts(axes[1], partition, volumes_mm3)
    _draw_volumes(axes[2], partition, volumes_mm3)
    for axis, (column, name) in zip(axes[3:], questions, strict=True):
        _draw_shares(axis, partition, column, name)
    axes[0].set_yticks(range(rows), list(partition.sites))
    axes[0].set_ylim(rows - 0.4, -0.6)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=_GREY, labelsize=9)
        axis.tick_params(axis="y", length=0, labelcolor="black")
    figure.suptitle(_caption(partition, volumes_mm3), fontsize=10, x=0.01, ha="left")
    figure.savefig(path, dpi=120, format="png", metadata={"Software": None})


def _draw_sizes(axis: Any, partition: Partition) -> None:
    for row, cases in enumerate(partition.sites.values()):
        patients = len({case.patient for case in cases})
        axis.barh(row, len(cases), height=0.62, color=site_colour(row), alpha=0.35)
        axis.barh(row, patients, height=0.62, color=site_colour(row))
        axis.annotate(
            f"{patients}" if patients == len(cases) else f"{patients} / {len(cases)}",
            (len(cases), row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axis.margins(x=0.2)
    axis.set_title("patients / exams", fontsize=10)


def _draw_counts(axis: Any, partition: Partition, volumes_mm3: Mapping[str, Sequence[float]]) -> None:
    """Every exam is a dot, spread in its row by a fixed pattern; the bar is the median."""
    for row, cases in enumerate(partition.sites.values()):
        counts = np.array([len(volumes_mm3[case.exam]) for case in cases if case.exam in volumes_mm3], float)
        spread = row + 0.5 * ((np.arange(len(counts)) * 0.618) % 1 - 0.5)
        axis.scatter(counts, spread, s=9, color=site_colour(row), alpha=0.6, linewidths=0)
        if counts.size:
            axis.plot([np.median(counts)] * 2, [row - 0.36, row + 0.36], color="black", linewidth=1.6)
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(left=-0.2)
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300) if tick <= max(axis.get_xlim()[1], 3)]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_title("lesions per exam (bar: median)", fontsize=10)


def _draw_volumes(axis: Any, partition: Partition, volumes_mm3: Mapping[str, Sequence[float]]) -> None:
    for row, cases in enumerate(partition.sites.values()):
        volumes = [volume for case in cases for volume in volumes_mm3.get(case.exam, ())]
        if volumes:
            box = axis.boxplot(
                volumes,
                positions=[row],
                orientation="horizontal",
                widths=0.6,
                patch_artist=True,
                whis=(5, 95),
                showfliers=False,
                manage_ticks=False,
            )
            box["boxes"][0].set(facecolor=site_colour(row), alpha=0.6)
            box["medians"][0].set(color="black", linewidth=1.6)
    axis.set_xscale("log")
    for edge in (SMALL_MM3, LARGE_MM3):
        axis.axvline(edge, color=_GREY, linewidth=0.8, linestyle="--", zorder=0)
    axis.set_title("lesion volume, mm³ (5, 25, 50, 75, 95 %;\ndashed: 27 and 275)", fontsize=10)


def _draw_shares(axis: Any, partition: Partition, column: str, name: str) -> None:
    """Stacked shares of a site's patients by value; the commonest values first."""
    overall = Counter(_value(case, column) for cases in partition.sites.values() for case in cases)
    shown = [value for value, _ in overall.most_common(len(VALUES))]
    for row, cases in enumerate(partition.sites.values()):
        own = Counter(_value(case, column) for case in cases)
        left = 0.0
        for place, value in enumerate(shown):
            share = own[value] / len(cases)
            axis.barh(row, share, left=left, height=0.62, color=VALUES[place])
            left += share
        axis.barh(row, 1.0 - left, left=left, height=0.62, color=REST)
    for place, value in enumerate(shown):
        axis.barh(0, 0, color=VALUES[place], label=value)
    if len(overall) > len(shown):
        axis.barh(0, 0, color=REST, label="others")
    below = -0.35 / (_ROW_INCH * len(partition.sites))
    axis.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, below), frameon=False)
    axis.set_xlim(0, 1)
    axis.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axis.set_title(f"exams by {name}", fontsize=10)


def _differs(partition: Partition, column: str) -> bool:
    """Worth a column: at least two known values in the cohort."""
    values = {_value(case, column) for cases in partition.sites.values() for case in cases}
    return len(values - {"unknown"}) > 1


def _value(case: Case, column: str) -> str:
    value = getattr(case.metadata, column)
    if value is None or value == "":
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _caption(partition: Partition, volumes_mm3: Mapping[str, Sequence[float]]) -> str:
    found = unlikeness(partition, volumes_mm3)
    patients = sum(size.patients for size in found.sizes)
    exams = sum(size.exams for size in found.sizes)
    text = f"{len(found.sizes)} sites, {patients} patients, {exams} exams"
    if partition.left_out:
        text += f"; {partition.left_out} exams left out"
    return text + _told("lesion volumes", found.volume_ks) + _told("lesion counts", found.count_ks)


def _told(what: str, distance: Farthest | None) -> str:
    if distance is None:
        return ""
    return (
        f"\nmost unlike in {what}: {distance.sites[0]} and {distance.sites[1]} (KS distance {distance.value:.2f})"
    )
