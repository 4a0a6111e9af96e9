"""Slices as small PNG pictures, outlines drawn along voxel edges."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from simulation.colours import PREDICTION, REFERENCE
from simulation.report.content import Outline, SliceExample

_PIXELS = 300
_DPI = 100
_CLOSE_UP_MM = 48.0
_MARGIN_MM = 6.0


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture with its caption, the PNG as a data URI."""

    caption: str
    uri: str


def slice_panels(example: SliceExample) -> tuple[Panel, ...]:
    """The first two sequences whole with outlines, then a close-up of the first without and with them."""
    names = _preferred(tuple(example.images))
    brain = _brain_box(example)
    near = _close_up_box(example)
    panels = [
        Panel(f"{_shown(name)} with outlines", _draw(example, name, brain, outlines=True, frame=near, side=True))
        for name in names
    ]
    panels += [
        Panel(f"{_shown(names[0])}, close-up", _draw(example, names[0], near, outlines=False)),
        Panel(f"{_shown(names[0])}, close-up with outlines", _draw(example, names[0], near, outlines=True)),
    ]
    return tuple(panels)


def _shown(name: str) -> str:
    """Sequence names as a radiologist writes them."""
    return {"t1c": "T1c", "flair": "FLAIR", "t1": "T1", "t2": "T2"}.get(name, name)


def _preferred(names: Sequence[str]) -> tuple[str, ...]:
    """Contrast-enhanced T1 shows the lesion and FLAIR its oedema; else what there is."""
    order = [name for name in ("t1c", "flair") if name in names]
    return tuple([*order, *(name for name in names if name not in order)][:2])


_Box = tuple[float, float, float, float]  # left, right, bottom, top in pixels of the slice; rows grow downwards


def _brain_box(example: SliceExample) -> _Box:
    """A square in millimetres around everything that is not black."""
    lit = np.any([image > 0 for image in example.images.values()], axis=0)
    rows, columns = np.nonzero(lit) if lit.any() else np.nonzero(np.ones_like(lit))
    height_mm, width_mm = example.pixel_mm
    middle = ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2)
    reach_mm = max((rows.max() - rows.min() + 1) * height_mm, (columns.max() - columns.min() + 1) * width_mm) / 2
    return _square(middle, reach_mm + _MARGIN_MM, example.pixel_mm)


def _close_up_box(example: SliceExample) -> _Box:
    return _square(example.focus, _CLOSE_UP_MM / 2, example.pixel_mm)


def _square(middle: tuple[float, float], reach_mm: float, pixel_mm: tuple[float, float]) -> _Box:
    down, across = reach_mm / pixel_mm[0], reach_mm / pixel_mm[1]
    return middle[1] - across, middle[1] + across, middle[0] + down, middle[0] - down


def _draw(
    example: SliceExample, name: str, box: _Box, outlines: bool, frame: _Box | None = None, side: bool = False
) -> str:
    inches = _PIXELS / _DPI
    figure = Figure(figsize=(inches, inches), dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.imshow(example.images[name], cmap="gray", vmin=0, vmax=1, interpolation="bicubic", aspect="auto")
    if outlines:
        _outline(axis, example.reference, REFERENCE, "solid")
        _outline(axis, example.prediction, PREDICTION, (0, (3, 1.6)))
    if frame is not None:
        left, right, bottom, top = frame
        axis.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="#bbbbbb", lw=0.7))
    if side:
        axis.text(0.03, 0.5, "R", color="#dddddd", fontsize=9, transform=axis.transAxes, va="center")
    axis.set_xlim(box[0], box[1])
    axis.set_ylim(box[2], box[3])
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="black", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _outline(axis: Any, mask: Outline, colour: str, style: Any) -> None:
    """Draw along voxel edges: every voxel becomes 4 x 4 points, so one voxel is a square, not a diamond."""
    if not mask.any():
        return
    fine = np.pad(np.kron(mask, np.ones((4, 4))), 1)
    rows, columns = ((np.arange(size) - 1 + 0.5) / 4 - 0.5 for size in fine.shape)
    axis.contour(columns, rows, fine, levels=[0.5], colors=[colour], linewidths=1.5, linestyles=[style])
