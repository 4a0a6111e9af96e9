"""A matplotlib figure as an inline SVG that takes its text colour from the page, in light and in dark."""

import io
import re
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from simulation.report.markup import escape

INK = "#010203"  # drawn in this, shown in the page's own text colour
_SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "fedmets"}


def new_figure(width_inch: float, height_inch: float) -> tuple[Any, Any]:
    """A figure with one axis in the house style: no box, quiet ticks, transparent ground."""
    figure, (axis,) = new_panels(width_inch, height_inch, 1)
    return figure, axis


def new_panels(width_inch: float, height_inch: float, columns: int) -> tuple[Any, tuple[Any, ...]]:
    """A figure with axes side by side that share their upright axis, in the house style."""
    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    FigureCanvasSVG(figure)
    axes = tuple(figure.subplots(1, columns, sharey=True, squeeze=False)[0])
    for axis in axes:
        _style(axis)
    return figure, axes


def _style(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set(color=INK, alpha=0.5, linewidth=0.8)
    axis.tick_params(colors=INK, labelsize=9, length=3, width=0.6)
    axis.grid(axis="both", color=INK, alpha=0.12, linewidth=0.6)
    axis.set_axisbelow(True)


def to_svg(figure: Any, description: str, prefix: str) -> str:
    """Inline SVG with `description` for those who cannot see it; `prefix` keeps ids apart on one page.

    The settings that shape the text are those of this call only.
    """
    file = io.StringIO()
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.S)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r"(font(?:-family)?:[^;\"]*?)'DejaVu Sans'[^;\"]*", r"\g<1>system-ui, sans-serif", text)
    text = text.replace(INK, "currentColor")
    width = figure.get_size_inches()[0] * 96
    label = f'class="chart" role="img" aria-label="{escape(description)}" style="max-width:{width:.0f}px"'
    return re.sub(r'^<svg (.*?)width="[^"]*"', rf"<svg {label} \g<1>", _without_height(text), count=1, flags=re.S)


def _without_height(text: str) -> str:
    head, rest = text.split(">", 1)
    return re.sub(r'\s(height|version|xmlns(:xlink)?)="[^"]*"', "", head) + ">" + rest
