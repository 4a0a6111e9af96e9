"""How many lesions an exam has and how large they are: draws only, no voxels.

Exams of one patient are correlated through a first-order autoregression of standard normals behind the counts and
the volumes, so that every single exam keeps the calibrated distribution (a Gaussian copula).
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from simulation.phantom.fields import generator
from simulation.phantom.profile import SiteProfile

COUNT_MEMORY = 0.90
VOLUME_MEMORY = 0.97
GIANT_MEDIAN_MM3 = 18_000.0
GIANT_SIGMA = 0.5
MAX_VOLUME_MM3 = 96_000.0
"""The largest lesion among 10,119 (BraTS-METS 2025)."""


@dataclass(frozen=True, slots=True)
class DrawnLesion:
    """A lesion before it has a place.

    Attributes:
        slot: the lesion's identity within its patient: the same slot is the same lesion in later exams.
        volume_mm3: drawn volume, `lesion_scale` included.
    """

    slot: int
    volume_mm3: float

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of equal volume: 27 mm3 is 3.72 mm."""
        return float((6.0 * self.volume_mm3 / np.pi) ** (1.0 / 3.0))


def draw_lesions(
    profile: SiteProfile, lesion_scale: float, seed: int, patient: int, exam: int
) -> tuple[DrawnLesion, ...]:
    """The lesions of a patient's exam (0 is the first), in order of slot.

    With the default profile: 3.5 % of exams have none; otherwise the mean is 8.1 lesions, the median volume
    40.6 mm3. `lesion_scale` multiplies volumes by its cube.
    """
    first = generator(seed, profile.name, patient, 0, "draw")
    count_normal = float(first.standard_normal())
    volume_normals = first.standard_normal(profile.max_lesions)
    giant = first.random(profile.max_lesions) < profile.giant_share
    for later in range(1, exam + 1):
        rng = generator(seed, profile.name, patient, later, "draw")
        count_normal = _remember(count_normal, float(rng.standard_normal()), COUNT_MEMORY)
        volume_normals = VOLUME_MEMORY * volume_normals + np.sqrt(1.0 - VOLUME_MEMORY**2) * rng.standard_normal(
            profile.max_lesions
        )
    count = _count(profile, float(special.ndtr(count_normal)))
    usual = profile.volume_median_mm3 * np.exp(profile.volume_sigma * volume_normals)
    large = GIANT_MEDIAN_MM3 * np.exp(GIANT_SIGMA * volume_normals)
    volumes = np.minimum(np.where(giant, large, usual) * lesion_scale**3, MAX_VOLUME_MM3)
    return tuple(DrawnLesion(slot, float(volumes[slot])) for slot in range(count))


def _remember(before: float, fresh: float, memory: float) -> float:
    return memory * before + float(np.sqrt(1.0 - memory**2)) * fresh


def _count(profile: SiteProfile, uniform: float) -> int:
    """Inverse of the distribution: zero with its share, else a negative binomial without its zero.

    scipy's nbinom(r, p) with p = r / (r + mu): r = 0.30 and mu = 4.59 give P(0) = 0.433 before truncation and
    P(1) = 0.215 after.
    """
    if uniform < profile.zero_lesion_share:
        return 0
    uniform = (uniform - profile.zero_lesion_share) / (1.0 - profile.zero_lesion_share)
    r = profile.lesion_count_dispersion
    p = r / (r + profile.lesion_count_mu)
    at_zero = p**r
    drawn = int(stats.nbinom.ppf(at_zero + uniform * (1.0 - at_zero), r, p))
    return min(max(drawn, 1), profile.max_lesions)
