"""The picture of FROC curves, the arms in one chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.metrics.intervals import Interval
from simulation.colours import ARMS
from simulation.report.svg import INK, new_figure, to_svg

_WIDTH_INCH = 4.3
_MOST_SHOWN = 8.0  # false positives per scan; beyond, no reader would use a model
_APART = 0.011  # of the axis' length, between the arms' upright bars


@dataclass(frozen=True, slots=True)
class FrocLine:
    """One arm's curve.

    Attributes:
        points: (false positives per scan, sensitivity) from the highest threshold down.
        at: sensitivity with its interval, by the false positives per scan that it allows.
        own: the point of the plan's own threshold.
    """

    points: Sequence[tuple[float, float]]
    at: Mapping[float, Interval]
    own: tuple[float, float] | None


def draw_froc(lines: Mapping[str, FrocLine], title: str, prefix: str) -> str:
    """Share of lesions found over false positives per scan, a line an arm.

    Upright bars are the intervals at so many false positives per scan, a ring is the plan's own threshold.

    Args:
        lines: by arm (federated, pooled, local).
        title: which lesions.
        prefix: unlike that of any other chart of the page.
    """
    figure, axis = new_figure(_WIDTH_INCH, 3.0)
    limits = [limit for line in lines.values() for limit in line.at]
    largest = max((false for line in lines.values() for false, _ in line.points), default=0.0)
    right = min(_MOST_SHOWN, max(1.05 * largest, 1.1 * max(limits, default=1.0)))
    for place, (arm, line) in enumerate(lines.items()):
        colour = ARMS[arm]
        false, found = zip(*line.points, strict=True)
        style = {"marker": ".", "markersize": 4, "linewidth": 1.5, "color": colour, "label": arm}
        axis.plot(
            false, found, drawstyle="steps-post", **style
        )  # level up to the next threshold, as the table counts
        shift = _APART * right * (place - (len(lines) - 1) / 2)
        for limit, interval in line.at.items():
            if interval.low is not None and interval.high is not None:
                axis.plot([limit + shift] * 2, [interval.low, interval.high], color=colour, linewidth=2, alpha=0.5)
        if line.own is not None and line.own[0] <= right:
            axis.plot(*line.own, marker="o", markersize=9, markerfacecolor="none", color=colour, clip_on=False)
    axis.set_xlim(0.0, right)
    axis.set_ylim(-0.02, 1.02)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.set_xlabel("false positives per scan", color=INK, fontsize=9)
    axis.set_title(title, color=INK, fontsize=10, loc="left", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False, labelcolor=INK)
    return to_svg(figure, f"{title}: {_spoken(lines)}", prefix)


def _spoken(lines: Mapping[str, FrocLine]) -> str:
    return "; ".join(
        f"{arm} finds {100 * interval.estimate:.0f} % at {limit:g} false positives per scan"
        for arm, line in lines.items()
        for limit, interval in line.at.items()
        if interval.estimate is not None
    )
