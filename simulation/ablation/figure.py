"""The picture of an ablation: what every row changed, measure by measure, with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.metrics.intervals import Interval
from simulation.ablation.table import direction_of
from simulation.report.svg import INK, new_panels, to_svg

PANELS = {
    "dice": "Dice",
    "sensitivity_under_27": "found under 27 mm³",
    "sensitivity_27_to_275": "found 27 to 275 mm³",
    "fp_per_scan": "false positives\nper scan",
}
_COLOURS = {1: "#00805e", -1: "#c44a00", 0: "#7f8790"}
_MARKS = {1: "^", -1: "v", 0: "o"}  # better, worse and neither differ by shape too


def draw_forest(rows: Sequence[Mapping[str, Any]], prefix: str) -> str:
    """One line a row and one panel a measure; nothing where no row has effects.

    Args:
        rows: of ablation.json.
        prefix: unlike that of any other chart of the page.
    """
    shown = [row for row in rows if row["effects"]]
    if not shown:
        return ""
    figure, axes = new_panels(10.4, 1.1 + 0.27 * len(shown), len(PANELS))
    for axis, (measure, title) in zip(axes, PANELS.items(), strict=True):
        for place, row in enumerate(shown):
            _draw_effect(axis, place, measure, Interval(**row["effects"][measure]))
        axis.axvline(0.0, color=INK, linewidth=0.9, alpha=0.7)
        axis.set_title(title, color=INK, fontsize=10, loc="left", fontweight="bold")
        axis.grid(visible=False, axis="y")
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(shown)), [row["name"] for row in shown])
    axes[0].set_ylim(len(shown) - 0.5, -0.5)
    return to_svg(figure, f"what {len(shown)} rows changed against the row they are compared with", prefix)


def _draw_effect(axis: Any, place: int, measure: str, interval: Interval) -> None:
    direction = direction_of(measure, interval)
    colour = _COLOURS[direction]
    if interval.low is not None and interval.high is not None:
        axis.plot([interval.low, interval.high], [place, place], color=colour, linewidth=2.0)
    if interval.estimate is not None:
        axis.plot([interval.estimate], [place], _MARKS[direction], color=colour, markersize=6)
