"""Everything that takes up contrast and is no lesion: sinuses, arteries, veins, choroid plexus, dura.

In cross-section a cortical vein is a bright dot and the torcula a bright blob; on gradient-echo images they are as
bright as metastases. Black-blood sequences suppress flowing blood, but not slow veins, choroid plexus or dura.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulation.phantom.anatomy import Anatomy
from simulation.phantom.fields import FloatArray, Lattice, sigmoid
from simulation.phantom.tissue import Tissue
from simulation.phantom.vessel_courses import ALWAYS_ENHANCING, ARTERIES, DEEP_VEINS, SINUSES, Line

CORTICAL_VEINS = 56
MEDULLARY_VEINS = 90
SLOW_FLOW_SHARE = 0.22
BLACK_BLOOD_SINUS = 0.45
BLACK_BLOOD_VESSEL = 0.08
DURA = Lattice(step_mm=14.0)
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Segments:
    """Samples along vessels.

    Attributes:
        points_mm: (n, 3) in the reference head.
        radius_mm: (n,).
        length_mm: (n,) of vessel that a sample stands for.
        black_blood: (n,) share of enhancement that a black-blood sequence leaves.
    """

    points_mm: FloatArray
    radius_mm: FloatArray
    length_mm: FloatArray
    black_blood: FloatArray


@dataclass(frozen=True, slots=True)
class Vasculature:
    """A patient's vessels and the field that says where dura was left by the skull stripping."""

    segments: Segments
    dura: FloatArray


def draw_vasculature(rng: np.random.Generator) -> Vasculature:
    """A patient's vessels: fixed courses with individual bends and calibres, random veins."""
    parts = [
        _trace(SINUSES, 1.2, BLACK_BLOOD_SINUS, rng),
        _trace(ARTERIES, 2.0, BLACK_BLOOD_VESSEL, rng),
        _trace(DEEP_VEINS, 1.5, BLACK_BLOOD_VESSEL, rng),
        _trace(ALWAYS_ENHANCING, 1.5, 0.95, rng),
        _cortical_veins(rng),
        _medullary_veins(rng),
    ]
    segments = Segments(
        points_mm=np.concatenate([part.points_mm for part in parts]),
        radius_mm=np.concatenate([part.radius_mm for part in parts]),
        length_mm=np.concatenate([part.length_mm for part in parts]),
        black_blood=np.concatenate([part.black_blood for part in parts]),
    )
    return Vasculature(segments, DURA.noise(rng))


def enhancing_fraction(
    vasculature: Vasculature,
    anatomy: Anatomy,
    tissue: Tissue,
    sequence: Literal["gre", "black_blood"],
    rng: np.random.Generator,
) -> FloatArray:
    """(n,) share of each brain voxel that vessels and dura brighten.

    Samples are scattered in a ball of the vessel's radius and deposited by trilinear weights, so that a vein
    thinner than a voxel keeps its volume: 1 mm of a vein of radius 1 mm fills 3.1 mm3, 0.39 of a 2 mm voxel.
    """
    segments = vasculature.segments
    weight = np.pi * segments.radius_mm**2 * segments.length_mm * np.float32(tissue.head_scale)
    if sequence == "black_blood":
        weight = weight * segments.black_blood
    points = anatomy.to_patient(segments.points_mm) * np.float32(tissue.head_scale)
    copies = np.clip(np.ceil(4.0 * segments.radius_mm**2), 4, 64).astype(np.intp)
    scatter = _ball(int(copies.sum()), rng) * np.repeat(segments.radius_mm, copies)[:, None]
    fraction = _deposit(np.repeat(points, copies, axis=0) + scatter, np.repeat(weight / copies, copies), tissue)
    return np.maximum(np.minimum(fraction, 1.0), _dura(vasculature.dura, tissue))


def _dura(control: FloatArray, tissue: Tissue) -> FloatArray:
    """Patches of dura and bridging veins on the brain's surface, and the falx, which enhance in any sequence."""
    x, y, z = (axis / np.float32(tissue.head_scale) for axis in tissue.grid.fine_axes_mm())
    patch = sigmoid((DURA.sample(control, (x, y, z)).reshape(-1)[tissue.index] - 0.22) / 0.04)
    rim = sigmoid((2.2 - tissue.depth_mm) / 0.7)
    beside: FloatArray = np.abs(tissue.midline_mm)
    falx = 0.45 * sigmoid(2.0 - 2.0 * beside) * sigmoid((13.0 - tissue.depth_mm) / 2.0)
    return np.asarray(np.maximum(0.9 * patch * rim, falx * (1.0 - tissue.cerebellum)), dtype=np.float32)


def _trace(lines: tuple[Line, ...], jitter_mm: float, black_blood: float, rng: np.random.Generator) -> Segments:
    """Sample centre lines every millimetre, with bends of `jitter_mm` and calibres varied by 12 %."""
    points, radii, lengths = [], [], []
    for knots, first_mm, last_mm in lines:
        course = np.asarray(knots, dtype=np.float64)
        bend = rng.normal(0.0, jitter_mm, size=course.shape)
        course = course + bend * np.array([0.5, 1.0, 1.0])
        step = np.linalg.norm(np.diff(course, axis=0), axis=1)
        travelled = np.concatenate([[0.0], np.cumsum(step)])
        count = max(2, int(travelled[-1]))
        at = (np.arange(count) + 0.5) * travelled[-1] / count
        points.append(np.stack([np.interp(at, travelled, axis) for axis in course.T], axis=1))
        calibre = float(np.exp(rng.normal(0.0, 0.12)))
        radii.append(calibre * np.interp(at, [0.0, travelled[-1]], [first_mm, last_mm]))
        lengths.append(np.full(count, travelled[-1] / count))
    radius = np.concatenate(radii)
    return _segments(np.concatenate(points), radius, np.concatenate(lengths), np.full(len(radius), black_blood))


def _cortical_veins(rng: np.random.Generator) -> Segments:
    """Veins that wander down the convexity from the midline; some slow ones stay bright in black blood."""
    steps, step_mm = 36, 1.6
    along = rng.uniform(-1.15, 1.15, CORTICAL_VEINS)
    side = rng.choice([-1.0, 1.0], CORTICAL_VEINS)
    tilt = np.cumsum(rng.normal(0.0, 0.11, (CORTICAL_VEINS, steps)), axis=1) + rng.normal(
        0, 0.3, (CORTICAL_VEINS, 1)
    )
    start = rng.uniform(0.02, 1.2, (CORTICAL_VEINS, 1))
    angle = start + np.cumsum(np.cos(tilt), axis=1) * step_mm / 62.0
    yaw = along[:, None] + np.cumsum(np.sin(tilt), axis=1) * step_mm / 84.0
    depth = 3.0 + 2.0 * np.sin(np.cumsum(rng.normal(0.25, 0.15, (CORTICAL_VEINS, steps)), axis=1))
    points = np.stack(
        [
            side[:, None] * (66.0 - depth) * np.sin(angle) * np.cos(yaw),
            (84.0 - depth) * np.sin(yaw),
            10.0 + (57.0 - depth) * np.cos(angle) * np.cos(yaw),
        ],
        axis=2,
    )
    radius = rng.uniform(0.8, 1.9, (CORTICAL_VEINS, 1)) * np.linspace(1.15, 0.6, steps)
    slow = np.where(rng.random((CORTICAL_VEINS, 1)) < SLOW_FLOW_SHARE, 1.0, BLACK_BLOOD_VESSEL)
    lengths = np.full(points.shape[:2], step_mm)
    return _segments(points.reshape(-1, 3), radius.ravel(), lengths.ravel(), np.repeat(slow, steps))


def _medullary_veins(rng: np.random.Generator) -> Segments:
    """Straight thin veins through the white matter: dots where a slice cuts them, like the smallest metastases."""
    direction = rng.standard_normal((MEDULLARY_VEINS, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    outer = direction * np.array([58.0, 76.0, 49.0]) + np.array([0.0, 0.0, 10.0])
    outer[:, 2] = np.maximum(outer[:, 2], -30.0)
    inward = (np.array([0.0, -5.0, 12.0]) - outer) * rng.uniform(0.2, 0.5, (MEDULLARY_VEINS, 1))
    along = np.linspace(0.0, 1.0, 16)
    points = outer[:, None, :] + along[None, :, None] * inward[:, None, :]
    lengths = np.repeat(np.linalg.norm(inward, axis=1) / 16, 16)
    radius = np.repeat(rng.uniform(0.5, 1.1, MEDULLARY_VEINS), 16)
    return _segments(points.reshape(-1, 3), radius, lengths, np.full(len(radius), BLACK_BLOOD_VESSEL))


def _segments(
    points: Float64Array, radius: Float64Array, length: Float64Array, black_blood: Float64Array
) -> Segments:
    narrow = [np.asarray(part, dtype=np.float32) for part in (points, radius, length, black_blood)]
    return Segments(*narrow)


def _ball(count: int, rng: np.random.Generator) -> FloatArray:
    """(count, 3) uniform points of the unit ball."""
    direction = rng.standard_normal((count, 3), dtype=np.float32)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * np.cbrt(rng.random((count, 1), dtype=np.float32))


def _deposit(points_mm: FloatArray, volume_mm3: FloatArray, tissue: Tissue) -> FloatArray:
    """Spread volumes on the rendered grid by trilinear weights; (n,) fractions at the brain's voxels."""
    shape = np.array(tissue.grid.fine_shape)
    spacing = np.array(tissue.grid.fine_spacing_mm, dtype=np.float32)
    place = points_mm / spacing + (shape - 1).astype(np.float32) / 2
    low = np.floor(place).astype(np.intp)
    inside = np.all((low >= 0) & (low < shape - 1), axis=1)
    low, part = low[inside], (place - low)[inside].astype(np.float32)
    volume = volume_mm3[inside] / np.float32(np.prod(spacing))
    total = np.zeros(int(np.prod(shape)), dtype=np.float64)
    for corner in np.ndindex(2, 2, 2):
        weight = volume * np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1)
        x, y, z = (low + np.array(corner)).T
        total += np.bincount((x * shape[1] + y) * shape[2] + z, weights=weight, minlength=len(total))
    return np.asarray(total[tissue.index], dtype=np.float32)
