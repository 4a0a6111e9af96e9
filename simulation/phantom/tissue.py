"""From an anatomy to tissue fractions at the brain's voxels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulation.phantom.anatomy import FOLDS, SHAPES, Anatomy
from simulation.phantom.fields import FloatArray, SamplingGrid, sigmoid

CORTEX_MM = 3.0
SULCUS_REACH_MM = 17.0


@dataclass(frozen=True, slots=True)
class Tissue:
    """Fractions and distances at the n brain voxels of the rendered grid.

    Attributes:
        grid: where they lie.
        head_scale: millimetres on the grid per millimetre of the reference head.
        index: (n,) flat voxel indices, C order, ascending.
        position_mm: (n, 3) scanner RAS, 0 is the centre of the view.
        grey, white, csf: fractions, sum 1.
        depth_mm: below the brain's surface.
        midline_mm: from the midsagittal plane, in the reference head.
        cerebellum: 1 in cerebellum and brainstem, 0 in the cerebrum, soft between.
        ventricle_mm: signed distance from the ventricles' wall, positive inside.
    """

    grid: SamplingGrid
    head_scale: float
    index: npt.NDArray[np.intp]
    position_mm: FloatArray
    grey: FloatArray
    white: FloatArray
    csf: FloatArray
    depth_mm: FloatArray
    midline_mm: FloatArray
    cerebellum: FloatArray
    ventricle_mm: FloatArray

    def spread(self, values: FloatArray) -> FloatArray:
        """Values at the brain's voxels as a volume, 0 outside."""
        volume = np.zeros(self.grid.fine_shape, dtype=np.float32)
        volume.reshape(-1)[self.index] = values
        return volume


def render_tissue(anatomy: Anatomy, grid: SamplingGrid, head_scale: float) -> Tissue:
    """Tissue fractions on the rendered grid; edges are as soft as the voxels are large."""
    axes = grid.fine_axes_mm()
    head_axes = (axes[0] / head_scale, axes[1] / head_scale, axes[2] / head_scale)
    depth_volume = SHAPES.sample(anatomy.brain, head_axes)
    index = np.flatnonzero(depth_volume > 0.0)

    def at_brain(control: FloatArray) -> FloatArray:
        return np.asarray(SHAPES.sample(control, head_axes).reshape(-1)[index])

    depth = depth_volume.reshape(-1)[index]
    edge = 0.30 * float(np.mean(grid.fine_spacing_mm)) / head_scale
    cerebellum = sigmoid((at_brain(anatomy.cerebellum) - at_brain(anatomy.cerebrum)) / edge)
    folds = np.abs(FOLDS.sample(anatomy.folds, head_axes).reshape(-1)[index])
    fissure = at_brain(anatomy.fissure)
    grey, csf = _cortex(depth, folds, fissure, cerebellum, edge)
    deep = sigmoid(at_brain(anatomy.deep_grey) / edge) * (1.0 - cerebellum)
    grey = np.maximum(grey, 0.75 * deep)
    ventricle = at_brain(anatomy.ventricles)
    csf = np.maximum(csf, sigmoid(ventricle / edge))
    grey = np.minimum(grey, 1.0 - csf)
    return Tissue(
        grid=grid,
        head_scale=head_scale,
        index=index,
        position_mm=_positions(index, axes),
        grey=grey,
        white=np.clip(1.0 - csf - grey, 0.0, 1.0),
        csf=csf,
        depth_mm=depth * np.float32(head_scale),
        midline_mm=at_brain(anatomy.midline),
        cerebellum=cerebellum,
        ventricle_mm=ventricle,
    )


def _cortex(
    depth: FloatArray, folds: FloatArray, fissure: FloatArray, cerebellum: FloatArray, edge: float
) -> tuple[FloatArray, FloatArray]:
    """Grey matter lines the surface and every sheet of CSF that reaches in from it.

    In the cerebellum the sheets lie three times as dense and are too fine to resolve: they show as texture.
    """
    beyond = np.clip(np.minimum(depth, fissure + 4.0) - SULCUS_REACH_MM, 0.0, None)
    sulcus = np.minimum(np.sqrt(folds**2 + beyond**2), fissure)
    cortex = np.minimum(depth, sulcus)
    width = max(edge, 0.5)
    grey = sigmoid((CORTEX_MM - cortex) / width)
    csf = np.maximum(sigmoid((0.75 - sulcus) / (0.7 * width)), 0.8 * sigmoid((0.8 - depth) / (0.7 * width)))
    folia = np.abs(np.mod(folds * 2.2 + depth * 0.45, 2.0) - 1.0)
    folia_grey = np.where(depth < 11.0, 0.35 + 0.55 * folia, 0.08)
    grey = grey * (1.0 - cerebellum) + folia_grey * cerebellum
    tentorium = 4.0 * cerebellum * (1.0 - cerebellum)
    csf = np.maximum(csf * (1.0 - cerebellum), 0.6 * tentorium)
    return np.asarray(grey, dtype=np.float32), np.asarray(csf, dtype=np.float32)


def _positions(index: npt.NDArray[np.intp], axes: tuple[FloatArray, FloatArray, FloatArray]) -> FloatArray:
    shape = (len(axes[0]), len(axes[1]), len(axes[2]))
    voxels = np.unravel_index(index, shape)
    return np.stack([axis[voxel] for axis, voxel in zip(axes, voxels, strict=True)], axis=1)
