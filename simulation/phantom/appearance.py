"""What a lesion looks like: outline, enhancement, necrotic core, oedema."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulation.phantom.fields import FloatArray

BUMPS = 7
_GOLDEN = np.pi * (3.0 - np.sqrt(5.0))


@dataclass(frozen=True, slots=True)
class Outline:
    """A star-shaped body of the volume of the unit ball: an ellipsoid with bumps.

    The surface lies at `|M q| = rho(M q / |M q|)`, with rho = size * (1 + sum of bumps) and det M = 1.

    Attributes:
        matrix: (3, 3) rotation and stretch M.
        directions: (BUMPS, 3) unit vectors.
        heights: (BUMPS,) signed.
        size: makes the volume that of the unit ball.
    """

    matrix: FloatArray
    directions: FloatArray
    heights: FloatArray
    size: float

    def excess(self, x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        """Radial distance of points outside the surface; negative inside; unit: the ball's radius.

        Coordinates are broadcast against each other. Sums are written out: they are short, and faster than
        matrix products of three columns.
        """
        bent = [row[0] * x + row[1] * y + row[2] * z for row in self.matrix]
        length = np.sqrt(bent[0] ** 2 + bent[1] ** 2 + bent[2] ** 2) + np.float32(1e-6)
        unit = [part / length for part in bent]
        rho = np.ones_like(length)
        for direction, height in zip(self.directions, self.heights, strict=True):
            cosine = direction[0] * unit[0] + direction[1] * unit[1] + direction[2] * unit[2]
            rho += height * np.exp(np.float32(5.0) * (cosine - np.float32(1.0)))
        return np.asarray(length - np.float32(self.size) * rho, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Appearance:
    """A lesion's look; it stays with the lesion from exam to exam as far as its size does.

    Attributes:
        kind: enhancement pattern.
        outline: of the lesion; the core has the same, smaller.
        core_scale: radius of the necrotic core over the lesion's; 0 when solid.
        core_offset: of the core's centre, in radii.
        enhancement: T1 post-contrast signal over a vessel's.
        oedema_reach_mm: beyond the lesion's surface; 0 for none.
    """

    kind: Literal["solid", "ring", "irregular"]
    outline: Outline
    core_scale: float
    core_offset: tuple[float, float, float]
    enhancement: float
    oedema_reach_mm: float


def draw_appearance(rng: np.random.Generator, diameter_mm: float) -> Appearance:
    """Small lesions are solid and round; above about 12 mm most have a core, a third of those irregular.

    Oedema accompanies one in four lesions of 3 mm, nine in ten of 12 mm, and reaches further around large ones.
    """
    chance, style, swelling = (float(value) for value in rng.random(3))
    has_core = chance < 0.8 / (1.0 + np.exp(-(diameter_mm - 11.0) / 2.0))
    kind: Literal["solid", "ring", "irregular"] = "solid"
    if has_core:
        kind = "irregular" if style < 0.35 else "ring"
    roughness = {"solid": 0.12, "ring": 0.14, "irregular": 0.28}[kind]
    outline = draw_outline(rng, roughness)
    core = float(rng.uniform(0.5, 0.78)) if has_core else 0.0
    shift = rng.normal(0.0, 0.10 if kind == "irregular" else 0.03, size=3)
    enhancement = float(np.clip(rng.normal(0.95, 0.13), 0.7, 1.25))
    reach = float(rng.uniform(0.5, 1.5)) * (2.0 + 0.45 * diameter_mm)
    oedema = swelling < 1.0 / (1.0 + np.exp(-(diameter_mm - 6.0) / 2.7))
    offset = (float(shift[0]), float(shift[1]), float(shift[2]))
    return Appearance(kind, outline, core, offset, enhancement, min(reach, 22.0) if oedema else 0.0)


def draw_outline(rng: np.random.Generator, roughness: float) -> Outline:
    """A random outline; its size follows from the mean of rho cubed over the sphere, so the volume is exact."""
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    stretch = np.exp(rng.normal(0.0, roughness, size=3))
    stretch /= np.prod(stretch) ** (1.0 / 3.0)
    directions = rng.standard_normal((BUMPS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    heights = np.clip(rng.normal(0.0, 1.4 * roughness, size=BUMPS), -0.4, 0.4)
    rho = np.clip(1.0 + np.exp(5.0 * (_sphere(400) @ directions.T - 1.0)) @ heights, 0.2, None)
    return Outline(
        matrix=np.asarray(stretch[:, None] * rotation, dtype=np.float32),
        directions=np.asarray(directions, dtype=np.float32),
        heights=np.asarray(heights, dtype=np.float32),
        size=float(np.mean(rho**3) ** (-1.0 / 3.0)),
    )


def _sphere(count: int) -> FloatArray:
    """(count, 3) evenly spread unit vectors (Fibonacci sphere)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    turn = _GOLDEN * np.arange(count)
    ring = np.sqrt(1.0 - z**2)
    return np.asarray(np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1), dtype=np.float32)
