"""Lesions on the rendered grid: shares of each voxel that are rim, core and oedema."""

from dataclasses import dataclass

import numpy as np

from simulation.phantom.appearance import Appearance
from simulation.phantom.fields import FloatArray, SamplingGrid
from simulation.phantom.placement import PlacedLesion
from simulation.phantom.tissue import Tissue

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class RenderedLesion:
    """One lesion on the grid on disk, before anybody annotates it.

    Attributes:
        lesion, appearance: what it is.
        box: voxels on disk that hold it.
        occupied: share of each voxel of the box inside the lesion; its sum times the voxel is its volume.
        core: share inside the necrotic core.
    """

    lesion: PlacedLesion
    appearance: Appearance
    box: Box
    occupied: FloatArray
    core: FloatArray


@dataclass(frozen=True, slots=True)
class LesionField:
    """All lesions of an exam at the brain's voxels, each (n,).

    Attributes:
        rim: share of vital tumour.
        core: share of necrosis.
        brightness: rim times its enhancement.
        oedema: share of swollen white matter, 0 to 1.
        lesions: one by one.
    """

    rim: FloatArray
    core: FloatArray
    brightness: FloatArray
    oedema: FloatArray
    lesions: tuple[RenderedLesion, ...]


def render_lesions(looks: tuple[tuple[PlacedLesion, Appearance], ...], tissue: Tissue) -> LesionField:
    """Paint lesions and their oedema; lesions never overlap, oedema may."""
    shape = tissue.grid.fine_shape
    occupied, core, brightness, oedema = (np.zeros(shape, dtype=np.float32) for _ in range(4))
    inside = np.zeros(shape, dtype=bool)
    inside.reshape(-1)[tissue.index] = True
    rendered = []
    for lesion, look in looks:
        box = _box(lesion, lesion.radius_mm * 1.8, tissue.grid)
        whole = _occupancy(lesion, look, 1.0, box, tissue.grid) * inside[box]
        heart = np.minimum(_occupancy(lesion, look, look.core_scale, box, tissue.grid), whole)
        occupied[box] += whole
        core[box] += heart
        brightness[box] += (whole - heart) * np.float32(look.enhancement)
        _add_oedema(oedema, lesion, look, tissue.grid)
        rendered.append(RenderedLesion(lesion, look, *_on_disk(box, whole, heart, tissue.grid)))
    flat = [volume.reshape(-1)[tissue.index] for volume in (occupied, core, brightness, oedema)]
    whole, heart, bright, swelling = flat
    spared = tissue.grey * (0.75 - 0.65 * tissue.cerebellum)  # oedema keeps to white matter; folia are too fine
    room = (1.0 - tissue.csf - spared) * (1.0 - np.minimum(whole, 1.0))
    return LesionField(
        whole - heart, heart, bright, (swelling * np.maximum(room, 0.0)).astype(np.float32), tuple(rendered)
    )


def _box(lesion: PlacedLesion, reach_mm: float, grid: SamplingGrid) -> Box:
    """Rendered voxels within reach; whole slices on disk along z, one voxel of margin."""
    bounds = []
    for axis in range(3):
        step = grid.fine_spacing_mm[axis]
        middle = lesion.centre_mm[axis] / step + (grid.fine_shape[axis] - 1) / 2
        low, high = int(np.floor(middle - reach_mm / step)) - 1, int(np.ceil(middle + reach_mm / step)) + 2
        block = grid.sub_slices if axis == 2 else 1
        low, high = low // block * block, -(-high // block) * block
        bounds.append(slice(max(low, 0), min(high, grid.fine_shape[axis])))
    return (bounds[0], bounds[1], bounds[2])


def _occupancy(lesion: PlacedLesion, look: Appearance, scale: float, box: Box, grid: SamplingGrid) -> FloatArray:
    """Share of each voxel inside the outline scaled by `scale`: sub-voxel samples with a soft edge."""
    extent = tuple(part.stop - part.start for part in box)
    if scale == 0.0:
        return np.zeros(extent, dtype=np.float32)
    radius = lesion.radius_mm * scale
    sub = int(np.clip(np.ceil(2.0 * max(grid.fine_spacing_mm) / radius), 1, 5))
    axes = []
    for axis, part in enumerate(box):
        step = grid.fine_spacing_mm[axis]
        cells = (np.arange((part.stop - part.start) * sub) + 0.5) / sub - 0.5 + part.start
        offset = look.core_offset[axis] * lesion.radius_mm if scale < 1.0 else 0.0
        position = (cells - (grid.fine_shape[axis] - 1) / 2) * step - lesion.centre_mm[axis] - offset
        axes.append((position / radius).astype(np.float32))
    position_x, position_y, position_z = np.meshgrid(*axes, indexing="ij", sparse=True)
    width = float(np.mean(grid.fine_spacing_mm)) / sub / radius
    share = np.clip(0.5 - look.outline.excess(position_x, position_y, position_z) / np.float32(width), 0.0, 1.0)
    x, y, z = extent
    blocks = share.reshape(x, sub, y, sub, z, sub)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), dtype=np.float32)


def _add_oedema(total: FloatArray, lesion: PlacedLesion, look: Appearance, grid: SamplingGrid) -> None:
    """Oedema fades over its reach beyond the lesion, further where the outline's bumps point."""
    if look.oedema_reach_mm == 0.0:
        return
    box = _box(lesion, lesion.radius_mm * 1.3 + look.oedema_reach_mm * 1.2, grid)
    axes = [
        (np.arange(part.start, part.stop) - (grid.fine_shape[axis] - 1) / 2) * grid.fine_spacing_mm[axis]
        - lesion.centre_mm[axis]
        for axis, part in enumerate(box)
    ]
    x, y, z = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij", sparse=True)
    radius = np.float32(lesion.radius_mm)
    beyond = look.outline.excess(x / radius, y / radius, z / radius) * radius
    bumps = sum(np.sin((x * d[0] + y * d[1] + z * d[2]) / np.float32(5.0)) for d in look.outline.directions[:3])
    reach = look.oedema_reach_mm * (1.0 + 0.22 * bumps)
    share = np.clip((reach - beyond) / 2.5, 0.0, 1.0)
    np.maximum(total[box], share.astype(np.float32), out=total[box])


def _on_disk(
    box: Box, whole: FloatArray, heart: FloatArray, grid: SamplingGrid
) -> tuple[Box, FloatArray, FloatArray]:
    """Average rendered slices to voxels on disk."""
    k = grid.sub_slices
    x, y, z = whole.shape
    thick = slice(box[2].start // k, box[2].stop // k)
    means = [part.reshape(x, y, z // k, k).mean(axis=3) for part in (whole, heart)]
    return (box[0], box[1], thick), means[0], means[1]
