"""From signals to scanner volumes: thick slices, bias field, gain, Rician noise, whole numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulation.phantom.contrast import T1_TISSUE
from simulation.phantom.fields import FloatArray, Lattice
from simulation.phantom.profile import SiteProfile
from simulation.phantom.tissue import Tissue

BIAS = Lattice(step_mm=52.0)
Int16Array = npt.NDArray[np.int16]
MAX_VALUE = 32_000


@dataclass(frozen=True, slots=True)
class Scanner:
    """One exam's scanner state.

    Attributes:
        tissue: what is scanned.
        averages: whether a slice is more than one rendered slice.
        index: (n,) flat indices of the brain on the grid on disk.
        coverage: (n,) share of each of those voxels inside the brain.
        bias: (n,) multiplicative field around 1.
        noise: Rician sigma in units of signal.
        gain: scanner units per signal.
    """

    tissue: Tissue
    averages: bool
    index: npt.NDArray[np.intp]
    coverage: FloatArray
    bias: FloatArray
    noise: float
    gain: float

    def to_slices(self, values: FloatArray) -> FloatArray:
        """Values at the rendered brain voxels to (n,) values on disk, averaged within the brain."""
        if not self.averages:
            return values
        grid = self.tissue.grid
        volume = grid.to_slices(self.tissue.spread(values), grid.thickness_mm)
        return np.asarray(volume.reshape(-1)[self.index] / self.coverage, dtype=np.float32)

    def acquire(self, signal: FloatArray, rng: np.random.Generator) -> Int16Array:
        """A magnitude image; 0 outside the brain and nowhere else."""
        clean = self.to_slices(signal) * self.bias
        real = clean + np.float32(self.noise) * rng.standard_normal(len(clean), dtype=np.float32)
        imaginary = np.float32(self.noise) * rng.standard_normal(len(clean), dtype=np.float32)
        magnitude = np.sqrt(real**2 + imaginary**2) * np.float32(self.gain)
        return self.volume(np.clip(np.rint(magnitude), 1, MAX_VALUE))

    def volume(self, values: npt.NDArray[np.generic]) -> Int16Array:
        """(n,) values as a volume on disk."""
        image = np.zeros(self.tissue.grid.shape, dtype=np.int16)
        image.reshape(-1)[self.index] = values.astype(np.int16)
        return image


def set_up_scanner(tissue: Tissue, profile: SiteProfile, rng: np.random.Generator) -> Scanner:
    """Draw one exam's bias field, gain and noise: noise goes with 1 / B0, bias with the root of B0."""
    grid = tissue.grid
    index, coverage = tissue.index, np.ones(len(tissue.index), dtype=np.float32)
    averages = grid.sub_slices > 1 or not np.isclose(grid.thickness_mm, grid.spacing_mm[2])
    if averages:
        share = grid.to_slices(tissue.spread(coverage), grid.thickness_mm).reshape(-1)
        index = np.flatnonzero(share > 0.5)
        coverage = share[index]
    relative_field = profile.field_strength_t / 3.0
    field = BIAS.sample(BIAS.noise(rng), grid.fine_axes_mm())[:, :, grid.sub_slices // 2 :: grid.sub_slices]
    inside = field.reshape(-1)[index]
    inside = (inside - inside.mean()) / (inside.std() + np.float32(1e-6))
    strength = profile.bias_strength * np.sqrt(relative_field) * float(np.exp(rng.normal(0.0, 0.2)))
    return Scanner(
        tissue=tissue,
        averages=averages,
        index=index,
        coverage=coverage,
        bias=np.exp(np.float32(strength) * inside),
        noise=profile.noise * T1_TISSUE[0] / relative_field,
        gain=profile.gain * float(np.exp(rng.normal(0.0, 0.12))),
    )
