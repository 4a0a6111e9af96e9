"""A patient's brain as signed distances on a lattice: smooth, individual, without voxels.

Coordinates are RAS in millimetres of a reference head, 136 x 170 x 134 mm, scaled to the field of view by the
caller. Distances are positive inside. They are first-order approximations (Quilez's bound for ellipsoids), good
to about a millimetre near the surface, where they matter.
"""

from dataclasses import dataclass

import numpy as np

from simulation.phantom.fields import FloatArray, Lattice

HEAD_EXTENT_MM = (142.0, 178.0, 140.0)
SHAPES = Lattice(step_mm=5.0)
WARP = Lattice(step_mm=26.0)
FOLDS = Lattice(step_mm=6.5)
Point = tuple[float, float, float]

# Centre and semi-axes in mm.
CEREBRUM: tuple[tuple[Point, Point], ...] = (
    ((0.0, 0.0, 10.0), (66.0, 84.0, 57.0)),
    ((40.0, 12.0, -24.0), (24.0, 40.0, 21.0)),
    ((-40.0, 12.0, -24.0), (24.0, 40.0, 21.0)),
)
CEREBELLUM: tuple[tuple[Point, Point], ...] = (
    ((24.0, -50.0, -42.0), (28.0, 27.0, 21.0)),
    ((-24.0, -50.0, -42.0), (28.0, 27.0, 21.0)),
    ((0.0, -50.0, -38.0), (16.0, 24.0, 20.0)),
)
BRAINSTEM: tuple[tuple[Point, Point], ...] = (
    ((0.0, -18.0, -34.0), (15.0, 14.0, 22.0)),
    ((0.0, -26.0, -58.0), (9.0, 9.0, 24.0)),
)
VENTRICLES: tuple[tuple[Point, Point], ...] = (
    ((9.0, 14.0, 16.0), (6.0, 22.0, 8.0)),
    ((-9.0, 14.0, 16.0), (6.0, 22.0, 8.0)),
    ((16.0, -18.0, 18.0), (7.0, 22.0, 9.0)),
    ((-16.0, -18.0, 18.0), (7.0, 22.0, 9.0)),
    ((24.0, -40.0, 6.0), (6.0, 16.0, 8.0)),
    ((-24.0, -40.0, 6.0), (6.0, 16.0, 8.0)),
    ((0.0, -6.0, 3.0), (3.0, 14.0, 9.0)),
    ((0.0, -36.0, -36.0), (6.0, 5.0, 9.0)),
)
DEEP_GREY: tuple[tuple[Point, Point], ...] = (
    ((14.0, 20.0, 8.0), (6.0, 13.0, 11.0)),
    ((-14.0, 20.0, 8.0), (6.0, 13.0, 11.0)),
    ((26.0, 4.0, 2.0), (7.0, 19.0, 11.0)),
    ((-26.0, 4.0, 2.0), (7.0, 19.0, 11.0)),
    ((11.0, -16.0, 5.0), (9.0, 14.0, 10.0)),
    ((-11.0, -16.0, 5.0), (9.0, 14.0, 10.0)),
)
MIDLINE_BLOCK: tuple[tuple[Point, Point], ...] = (((0.0, -4.0, 4.0), (70.0, 44.0, 25.0)),)
INSULA: tuple[tuple[Point, Point], ...] = (((0.0, 2.0, 0.0), (38.0, 60.0, 60.0)),)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Spline coefficients on the lattice `SHAPES`, but for `folds` (`FOLDS`) and `warp` (`WARP`).

    Attributes:
        brain, cerebrum, cerebellum, ventricles, deep_grey: signed distances in mm, positive inside.
        fissure: distance in mm from the interhemispheric and Sylvian fissures.
        midline: distance in mm from the midsagittal plane.
        folds: distance in mm from the nearest sulcus sheet, signed.
        warp: (3, ...) displacement in mm from the patient's head to the reference head.
    """

    brain: FloatArray
    cerebrum: FloatArray
    cerebellum: FloatArray
    ventricles: FloatArray
    deep_grey: FloatArray
    fissure: FloatArray
    midline: FloatArray
    folds: FloatArray
    warp: FloatArray

    def to_patient(self, reference_mm: FloatArray) -> FloatArray:
        """Points (n, 3) of the reference head in this patient's head; first order in the displacement."""
        shift = np.stack([WARP.sample_at(part, reference_mm) for part in self.warp], axis=1)
        return np.asarray(reference_mm - shift, dtype=np.float32)


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A patient's brain: head size to 3 %, smooth deformations of some 3 mm, own folds and ventricles."""
    warp = _draw_warp(rng)
    axis = SHAPES.axis_mm()
    axes = np.meshgrid(axis, axis, axis, indexing="ij", copy=False)
    x, y, z = (coordinate + _warp_on_shapes(part) for coordinate, part in zip(axes, warp, strict=True))
    cerebrum = np.minimum(_union(CEREBRUM, x, y, z), _above_base(y, z))
    cerebellum = _union(CEREBELLUM, x, y, z)
    stem = _union(BRAINSTEM, x, y, z)
    ventricle_size = float(np.exp(rng.normal(0.0, 0.18)))
    fissure = np.minimum(_interhemispheric(x, y, z), _sylvian(x, y, z))
    return Anatomy(
        brain=np.maximum(np.maximum(cerebrum, cerebellum), stem),
        cerebrum=cerebrum,
        cerebellum=np.maximum(cerebellum, stem),
        ventricles=_union(VENTRICLES, x, y, z, ventricle_size),
        deep_grey=_union(DEEP_GREY, x, y, z),
        fissure=fissure,
        midline=x,
        folds=_draw_folds(rng),
        warp=warp,
    )


def _warp_on_shapes(part: FloatArray) -> FloatArray:
    """One displacement component on the lattice `SHAPES`."""
    axis = SHAPES.axis_mm()
    return WARP.sample(part, (axis, axis, axis))


def _draw_warp(rng: np.random.Generator) -> FloatArray:
    """Displacements of a few millimetres plus a change of size along each axis."""
    axis = WARP.axis_mm()
    coordinates = np.meshgrid(axis, axis, axis, indexing="ij")
    stretch = rng.normal(0.0, 0.03, size=3)
    parts = [7.0 * WARP.noise(rng) + np.float32(s) * c for s, c in zip(stretch, coordinates, strict=True)]
    return np.stack(parts).astype(np.float32)


def _draw_folds(rng: np.random.Generator) -> FloatArray:
    """Distance from the zero sheets of a smooth random field: the sheets are the sulci.

    A field over the length of its gradient is, near its zeros, the distance from them; the added constant keeps
    flat spots from becoming sheets.
    """
    noise = FOLDS.noise(rng)
    for axis in range(3):
        noise = (np.roll(noise, 1, axis) + 4.0 * noise + np.roll(noise, -1, axis)) / 6.0
    slope = np.gradient(noise, FOLDS.step_mm)
    length = np.sqrt(sum(part**2 for part in slope) + np.float32(0.03**2))
    return np.asarray(np.clip(noise / length, -12.0, 12.0), dtype=np.float32)


def _ellipsoid(centre: Point, semi: Point, x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    parts = [(axis - c) / s for axis, c, s in zip((x, y, z), centre, semi, strict=True)]
    k0 = np.sqrt(sum(part**2 for part in parts) + np.float32(1e-6))
    k1 = np.sqrt(sum((part / s) ** 2 for part, s in zip(parts, semi, strict=True)) + np.float32(1e-9))
    return np.asarray(k0 * (1.0 - k0) / k1, dtype=np.float32)


def _union(
    shapes: tuple[tuple[Point, Point], ...], x: FloatArray, y: FloatArray, z: FloatArray, size: float = 1.0
) -> FloatArray:
    distance = np.full(x.shape, -1e3, dtype=np.float32)
    for centre, semi in shapes:
        grown = (semi[0] * size, semi[1] * size, semi[2] * size)
        distance = np.maximum(distance, _ellipsoid(centre, grown, x, y, z))
    return distance


def _above_base(y: FloatArray, z: FloatArray) -> FloatArray:
    """Distance above the base of the brain: low in front (temporal lobes), at the tentorium behind."""
    base = np.where(y > -18.0, -48.0, -48.0 + 1.1 * np.minimum(-18.0 - y, 28.0))
    return np.asarray(z - base, dtype=np.float32)


def _interhemispheric(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    """Distance from the midsagittal sheet, which ends at the corpus callosum and below the cerebrum."""
    block = np.clip(_union(MIDLINE_BLOCK, np.zeros_like(x), y, z), 0.0, None)
    below = np.clip(-26.0 - z, 0.0, None)
    return np.asarray(np.sqrt(x**2 + block**2 + below**2), dtype=np.float32)


def _sylvian(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    """Distance from the lateral sheet that rises backwards from the temporal pole and ends at the insula."""
    sheet = (z + 8.0 + 0.25 * y) / np.float32(1.03)
    deep = np.clip(_union(INSULA, x, y, z), 0.0, None)
    beyond = np.clip(np.abs(y - 2.0) - 36.0, 0.0, None)
    return np.asarray(np.sqrt(sheet**2 + deep**2 + beyond**2), dtype=np.float32)
