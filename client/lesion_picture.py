"""A picture for people who would rather look: the largest lesions, outlined on the image that was segmented."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nibabel.affines import apply_affine

from client.data.grids import to_ras
from client.data.volume import Volume
from client.lesion_report import Lesion
from common.notice import NOTICE

MOST_DISAGREEMENT = 0.5

_MOST_LESIONS = 4
_PANEL_INCHES = 3.0
_TITLE_INCHES = 0.3
_DPI = 100
_CLOSE_UP_MM = 24.0
_WINDOW_PERCENT = (1.0, 99.7)
_OUTLINE, _TEXT = "#ffb000", "#dddddd"


@dataclass(frozen=True, slots=True)
class _Scene:
    """Everything on the image's grid, axes to the right, the front and the top (RAS)."""

    image: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    disagreement: npt.NDArray[np.float32] | None
    affine: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Panel:
    """One slice: which, how far it reaches around its middle (None: all of it), and what lies over it."""

    voxel: tuple[int, int, int]
    reach_mm: float | None
    outline: bool
    overlay: bool
    title: str


def lesion_picture(
    image: Volume,
    mask: npt.NDArray[np.uint8],
    lesions: Sequence[Lesion],
    disagreement: npt.NDArray[np.float32] | None = None,
) -> bytes:
    """A PNG with a row for each of the four largest lesions: the axial slice through its centre, and close-ups.

    Close-ups are 48 mm wide, without and with outlines; with a map of disagreement a fourth panel shows it in
    colour, from 0 (clear) to 0.5. The patient's right is on the left. Nothing of the file's header is in it.

    Args:
        image: the first image, as read from its file.
        mask: (X, Y, Z) class indices on the image's grid.
        lesions: largest first; without any, the middle slice is shown.
        disagreement: (X, Y, Z) on the same grid, of an ensemble only.
    """
    scene = _scene(image, mask, disagreement)
    rows = [_row(scene, lesion) for lesion in lesions[:_MOST_LESIONS]]
    if not rows:
        x, y, z = (length // 2 for length in scene.mask.shape)
        rows = [[_Panel((x, y, z), None, outline=False, overlay=False, title="no lesion found")]]
    return _draw(scene, rows, len(lesions))


def _scene(image: Volume, mask: npt.NDArray[np.uint8], disagreement: npt.NDArray[np.float32] | None) -> _Scene:
    turned, grid = to_ras(image.values, image.grid)
    spread = None if disagreement is None else to_ras(disagreement, image.grid)[0]
    return _Scene(turned, to_ras(mask, image.grid)[0], spread, grid.affine, grid.spacing_mm)


def _row(scene: _Scene, lesion: Lesion) -> list[_Panel]:
    place = np.rint(apply_affine(np.linalg.inv(scene.affine), lesion.centre_mm)).astype(int)
    x, y, z = (int(value) for value in np.clip(place, 0, np.asarray(scene.mask.shape) - 1))
    title = f"{lesion.number}: {lesion.volume_mm3:.0f} mm3, {lesion.longest_diameter_mm:.1f} mm"
    count = lesion.found_by
    found = "" if count is None else f"found by {count} model{'' if count == 1 else 's'}"
    panels = [
        _Panel((x, y, z), None, outline=True, overlay=False, title=title),
        _Panel((x, y, z), _CLOSE_UP_MM, outline=False, overlay=False, title=f"slice {z + 1}"),
        _Panel((x, y, z), _CLOSE_UP_MM, outline=True, overlay=False, title=found),
    ]
    if scene.disagreement is not None:
        panels.append(_Panel((x, y, z), _CLOSE_UP_MM, outline=True, overlay=True, title="disagreement, 0 to 0.5"))
    return panels


def _draw(scene: _Scene, rows: Sequence[Sequence[_Panel]], lesions: int) -> bytes:
    columns = max(len(row) for row in rows)
    width, height = columns * _PANEL_INCHES, len(rows) * (_PANEL_INCHES + _TITLE_INCHES) + _TITLE_INCHES
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    for row, panels in enumerate(rows):
        bottom = height - (row + 1) * (_PANEL_INCHES + _TITLE_INCHES)
        for column, panel in enumerate(panels):
            left, size = column * _PANEL_INCHES / width, (_PANEL_INCHES / width, _PANEL_INCHES / height)
            axis = figure.add_axes((left, bottom / height, *size))
            _draw_panel(axis, scene, panel)
    shown = f"{min(lesions, _MOST_LESIONS)} of {lesions} lesions shown; " if lesions > _MOST_LESIONS else ""
    figure.text(0.01, 0.01, shown + NOTICE, color=_TEXT, fontsize=8, va="bottom")
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="black", metadata={"Software": None})
    return file.getvalue()


def _draw_panel(axis: Any, scene: _Scene, panel: _Panel) -> None:
    x, y, z = panel.voxel
    plane = _as_seen(scene.image[:, :, z])
    low, high = np.percentile(plane, _WINDOW_PERCENT)
    edges_mm = (scene.spacing_mm[1], scene.spacing_mm[0])
    axis.set_axis_off()
    axis.set_facecolor("black")
    axis.set_title(panel.title, color=_TEXT, fontsize=9, pad=3)
    axis.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=edges_mm[0] / edges_mm[1])
    if panel.overlay and scene.disagreement is not None:
        spread = _as_seen(scene.disagreement[:, :, z]) / MOST_DISAGREEMENT
        axis.imshow(spread, cmap="magma", vmin=0.0, vmax=1.0, alpha=np.clip(spread, 0.0, 0.85), aspect="auto")
        axis.set_aspect(edges_mm[0] / edges_mm[1])
    if panel.outline:
        _outline(axis, _as_seen(scene.mask[:, :, z] != 0))
    if panel.reach_mm is None:
        axis.text(0.02, 0.5, "R", color=_TEXT, fontsize=9, transform=axis.transAxes, va="center")
    else:
        row, column = plane.shape[0] - 1 - y, plane.shape[1] - 1 - x
        down, across = panel.reach_mm / edges_mm[0], panel.reach_mm / edges_mm[1]
        axis.set_xlim(column - across, column + across)
        axis.set_ylim(row + down, row - down)


def _as_seen(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(X, Y) with axes to the right and the front, as rows from front to back, the patient's right on the left."""
    return np.ascontiguousarray(plane[::-1, ::-1].T)


def _outline(axis: Any, mask: npt.NDArray[np.bool_]) -> None:
    """Along voxel edges: every voxel becomes 4 x 4 points, so that one voxel is a square, not a diamond."""
    if not mask.any():
        return
    fine = np.pad(np.kron(mask, np.ones((4, 4))), 1)
    rows, columns = ((np.arange(size) - 1 + 0.5) / 4 - 0.5 for size in fine.shape)
    axis.contour(columns, rows, fine, levels=[0.5], colors=[_OUTLINE], linewidths=1.2)
