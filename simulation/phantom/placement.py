"""Where lesions sit: the junction of grey and white matter, more behind than in front, never touching."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulation.phantom.fields import FloatArray, generator
from simulation.phantom.lesions import DrawnLesion
from simulation.phantom.profile import Primary
from simulation.phantom.tissue import Tissue

CANDIDATES = 160
MAX_TOTAL_SHARE = 0.12
"""Lesions together fill at most this share of the brain; what exceeds it is left out and recorded."""


@dataclass(frozen=True, slots=True)
class PlacedLesion:
    """A lesion with a place.

    Attributes:
        slot, volume_mm3: as drawn.
        centre_mm: scanner RAS, 0 is the centre of the view.
    """

    slot: int
    volume_mm3: float
    centre_mm: tuple[float, float, float]

    @property
    def radius_mm(self) -> float:
        """Of the sphere of equal volume."""
        return float((3.0 * self.volume_mm3 / (4.0 * np.pi)) ** (1.0 / 3.0))


def place_lesions(
    drawn: tuple[DrawnLesion, ...],
    tissue: Tissue,
    primary: Primary,
    boundary_shift: int,
    key: tuple[int, str, int],
) -> tuple[PlacedLesion, ...]:
    """Give each lesion the first of its candidate places that is deep enough and free; largest first.

    Candidates belong to the lesion's slot and come from `key` = (seed, site, patient), so that a lesion keeps its
    place from exam to exam. A lesion without a free place, or beyond what the brain can hold, is left out: the
    result may be shorter than `drawn`, and is in its order.
    """
    seed, site, patient = key
    junction = np.cumsum(_junction_weight(tissue, primary), dtype=np.float64)
    deep = np.cumsum(_deep_weight(tissue), dtype=np.float64)
    room = MAX_TOTAL_SHARE * len(tissue.index) * float(np.prod(tissue.grid.fine_spacing_mm))
    gap = max(tissue.grid.spacing_mm) * (1.6 + 2.0 * max(boundary_shift, 0))
    placed: list[PlacedLesion] = []
    for lesion in sorted(drawn, key=lambda lesion: -lesion.volume_mm3):
        if lesion.volume_mm3 > room:
            continue
        rng = generator(seed, site, patient, "place", lesion.slot)
        picks = np.concatenate([_pick(junction, rng), _pick(deep, rng)])
        centre = _first_free(picks, lesion.diameter_mm / 2, gap, tissue, placed)
        if centre is not None:
            room -= lesion.volume_mm3
            placed.append(PlacedLesion(lesion.slot, lesion.volume_mm3, centre))
    return tuple(sorted(placed, key=lambda lesion: lesion.slot))


def _pick(cumulative: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    place = np.searchsorted(cumulative, rng.random(CANDIDATES) * cumulative[-1])
    return np.asarray(np.minimum(place, len(cumulative) - 1), dtype=np.intp)


def _first_free(
    picks: npt.NDArray[np.intp], radius_mm: float, gap_mm: float, tissue: Tissue, placed: list[PlacedLesion]
) -> tuple[float, float, float] | None:
    """Far enough from the brain's surface, from the midline and from every lesion already there."""
    points = tissue.position_mm[picks].astype(np.float64)
    free = tissue.depth_mm[picks] > 1.2 * radius_mm + 0.5
    free &= np.abs(tissue.midline_mm[picks]) * tissue.head_scale > 0.5 * radius_mm
    for other in placed:
        apart = np.linalg.norm(points - np.array(other.centre_mm), axis=1)
        free &= apart > 1.3 * (radius_mm + other.radius_mm) + gap_mm
    if not free.any():
        return None
    x, y, z = (float(value) for value in points[np.argmax(free)])
    return (x, y, z)


def _junction_weight(tissue: Tissue, primary: Primary) -> FloatArray:
    """Half grey, half white, no CSF; weighted by lobe and primary tumour.

    Cerebellum, parietal and occipital lobes are over-represented, brainstem and deep nuclei under; melanoma goes
    to the frontal lobe, breast and gastrointestinal tumours to the cerebellum (Schroeder et al. 2020).
    """
    weight = 4.0 * tissue.grey * tissue.white * (tissue.csf < 0.15)
    posterior = tissue.position_mm[:, 1] < -15.0 * tissue.head_scale
    weight = weight * np.where(posterior, 1.5, 1.6 if primary == "melanoma" else 1.0)
    cerebellar = 2.2 if primary in ("breast", "gastrointestinal") else 1.4
    deep = tissue.depth_mm > 24.0 * tissue.head_scale
    weight = np.where(deep, 0.15 * weight, weight) * (1.0 + (cerebellar - 1.0) * tissue.cerebellum)
    return np.asarray(weight + 1e-6, dtype=np.float32)


def _deep_weight(tissue: Tissue) -> FloatArray:
    """White matter far from the surface: where the largest lesions fit."""
    return np.asarray(tissue.white * tissue.depth_mm**2 + 1e-6, dtype=np.float32)
