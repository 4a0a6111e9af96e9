"""Random changes to a training patch: drawn as numbers on the CPU, applied as tensors on any device.

The two halves are apart so that the sites' draws stay the same wherever the network runs, and so that a GPU does
the work that would keep it waiting for one CPU core.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import affine_grid, grid_sample

from common.plan import AugmentationSpec


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one patch; the default is nothing.

    Attributes:
        flips: array axes (0, 1, 2) to mirror.
        matrix: (3, 3) output voxel offset from the patch centre to input offset, or None.
        noise_sd: standard deviation of the Gaussian noise, 0 for none.
        noise_seed: seed of that noise.
        brightness: a factor a channel, or None.
        gamma: an exponent a channel, or None.
        absent: channels that hold nothing: 0 afterwards, whatever else changes.
    """

    flips: tuple[int, ...] = ()
    matrix: npt.NDArray[np.float64] | None = None
    noise_sd: float = 0.0
    noise_seed: int = 0
    brightness: tuple[float, ...] | None = None
    gamma: tuple[float, ...] | None = None
    absent: tuple[int, ...] = ()


def draw_change(
    spec: AugmentationSpec,
    channels: int,
    rng: np.random.Generator,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Change:
    """Draw what to do to one patch.

    Rotations are about all three axes at once and rigid in millimetres, not in voxels. The number of draws from
    `rng` depends on what is drawn, never on the image.
    """
    flips = tuple(axis for axis in range(3) if rng.random() < spec.flip)
    angles = _angles(spec.rotate_degrees, rng) if rng.random() < spec.rotate else np.zeros(3)
    zoom = rng.uniform(*spec.scale_range) if rng.random() < spec.scale else 1.0
    noise_sd = float(np.sqrt(rng.uniform(0.0, spec.noise_variance))) if rng.random() < spec.noise else 0.0
    noise_seed = int(rng.integers(2**63)) if noise_sd > 0.0 else 0
    brightness = _factors(spec.brightness_range, channels, rng) if rng.random() < spec.brightness else None
    gamma = _factors(spec.gamma_range, channels, rng) if rng.random() < spec.gamma else None
    matrix = voxel_matrix(angles, zoom, spacing_mm) if angles.any() or zoom != 1.0 else None
    return Change(flips, matrix, noise_sd, noise_seed, brightness, gamma)


def voxel_matrix(
    angles: npt.NDArray[np.float64], zoom: float, spacing_mm: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """Matrix (3, 3) from output to input voxel offsets; zoom 2 doubles what is seen, so it reads at half steps.

    Args:
        angles: (3,) radians about the x, y and z axis.
        zoom: magnification.
        spacing_mm: of the voxel grid.
    """
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    spacing = np.asarray(spacing_mm)
    return np.asarray(rotation * spacing / spacing[:, None] / zoom, dtype=np.float64)


def apply_change(image: torch.Tensor, label: torch.Tensor, change: Change) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply a change: image (C, X, Y, Z) float32, label (X, Y, Z) int64, both on one device; inputs are kept.

    Voxels that are 0 in every channel are outside the brain, and are 0 afterwards too. Absent channels are emptied
    last: noise would fill them, and the others change as if these were there.
    """
    image, label = _changed(image, label, change)
    if change.absent:
        image = image.index_fill(0, torch.tensor(change.absent, device=image.device), 0.0)
    return image, label


def _changed(image: torch.Tensor, label: torch.Tensor, change: Change) -> tuple[torch.Tensor, torch.Tensor]:
    if change.matrix is not None:
        image, label = _resample(image, label, change.matrix)
    if change.flips:
        image = image.flip([axis + 1 for axis in change.flips])
        label = label.flip(list(change.flips))
    if change.noise_sd == 0.0 and change.brightness is None and change.gamma is None:
        return image, label
    brain = (image != 0).any(dim=0)
    if change.noise_sd > 0.0:
        generator = torch.Generator(image.device).manual_seed(change.noise_seed)
        noise = torch.randn(image.shape, generator=generator, device=image.device)
        image = image + change.noise_sd * noise
    if change.brightness is not None:
        image = image * _per_channel(change.brightness, image)
    if change.gamma is not None:
        image = _gamma(image, brain, _per_channel(change.gamma, image))
    return image * brain, label


def _angles(degrees: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    return np.deg2rad(rng.uniform(-degrees, degrees, size=3))


def _factors(bounds: tuple[float, float], channels: int, rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(float(value) for value in rng.uniform(*bounds, size=channels))


def _resample(
    image: torch.Tensor, label: torch.Tensor, matrix: npt.NDArray[np.float64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """One trilinear pass over the image, nearest neighbour for the label, 0 beyond the patch."""
    # torch counts axes from the last (z, y, x) and measures offsets in half edge lengths.
    half = np.asarray(image.shape[1:], dtype=np.float64) / 2
    normalised = (matrix * half / half[:, None])[::-1, ::-1]
    theta = torch.zeros(1, 3, 4, device=image.device)
    theta[0, :, :3] = torch.from_numpy(normalised.astype(np.float32)).to(image.device)
    grid = affine_grid(theta, [1, 1, *image.shape[1:]], align_corners=False)
    warped = grid_sample(image.unsqueeze(0), grid, mode="bilinear", align_corners=False)[0]
    nearest = grid_sample(label[None, None].float(), grid, mode="nearest", align_corners=False)[0, 0]
    return warped, nearest.long()


def _per_channel(values: tuple[float, ...], image: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=image.dtype, device=image.device)[:, None, None, None]


def _gamma(image: torch.Tensor, brain: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """Raise intensities, scaled to 0..1 in the brain, to a power; mean and spread in the brain stay (nnU-Net)."""
    tiny = 1e-7
    low = image.masked_fill(~brain, torch.inf).amin((1, 2, 3), keepdim=True)
    high = image.masked_fill(~brain, -torch.inf).amax((1, 2, 3), keepdim=True)
    scale = (high - low).clamp_min(tiny)
    curved = ((image - low) / scale).clamp(0.0, 1.0) ** exponent
    mean, sd = _moments(image, brain)
    curved_mean, curved_sd = _moments(curved, brain)
    result = (curved - curved_mean) / curved_sd.clamp_min(tiny) * sd + mean
    # A patch that lies wholly outside the brain has no range: infinities must not become NaN.
    return torch.where(brain, result, 0.0)


def _moments(image: torch.Tensor, brain: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count = brain.sum().clamp_min(1)
    mean = (image * brain).sum((1, 2, 3), keepdim=True) / count
    variance = ((image - mean).square() * brain).sum((1, 2, 3), keepdim=True) / count
    return mean, variance.sqrt()
