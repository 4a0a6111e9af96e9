"""Probabilities for a whole case, window by window."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices

from common.plan import EvaluationSpec

Window = tuple[slice, slice, slice]


def predict(
    model: torch.nn.Module,
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.uint8],
    spec: EvaluationSpec,
    patch_size: tuple[int, int, int],
    device: torch.device,
    *,
    masked: bool = True,
) -> npt.NDArray[np.float32]:
    """Predict the probability of every foreground class at every voxel.

    Overlapping windows are averaged after the softmax, with `spec.window_weights`: Gaussian (sigma an eighth of
    the window) as nnU-Net does, or constant, the plain mean.
    Windows without a brain voxel are skipped and hold 0; so does, with `masked`, every voxel outside the mask.
    With `spec.mirror` each window is the mean over its 8 mirrorings. The network is left in evaluation mode.

    Args:
        model: gives logits (B, 1 + K, *patch_size).
        image: (C, X, Y, Z), memory-mapped or not; only windows are copied.
        mask: (X, Y, Z), 1 in the brain.
        spec: overlap, weights, windows a batch, mirroring.
        patch_size: the window; a smaller image is padded with 0 on both sides.
        device: where the network runs.
        masked: cut off what lies outside the mask.

    Returns:
        (K, X, Y, Z) float32; the background's probability is what is missing to 1 inside the brain.
    """
    shape = mask.shape
    if any(length < edge for length, edge in zip(shape, patch_size, strict=True)):
        image, mask, inner = _pad(image, mask, patch_size)
    else:
        inner = (slice(None), slice(None), slice(None))
    model.to(device).eval()
    windows = _windows_with_brain(mask, spec.window_overlap, patch_size)
    with torch.inference_mode():
        probability = _average(model, image, windows, spec, patch_size, device)
    if masked:
        probability = probability * (mask > 0)
    return np.ascontiguousarray(probability[(slice(None), *inner)])


def window_step(patch_size: Sequence[int], overlap: float) -> tuple[int, ...]:
    """Voxels between windows: (64, 64, 64) at an overlap of 0.5 step by 32."""
    return tuple(max(int(edge * (1.0 - overlap)), 1) for edge in patch_size)


def _windows_with_brain(
    mask: npt.NDArray[np.uint8], overlap: float, patch_size: tuple[int, int, int]
) -> list[Window]:
    places = dense_patch_slices(mask.shape, patch_size, window_step(patch_size, overlap))
    return [place for place in places if mask[place].any()]


def _average(
    model: torch.nn.Module,
    image: npt.NDArray[np.float32],
    windows: list[Window],
    spec: EvaluationSpec,
    patch_size: tuple[int, int, int],
    device: torch.device,
) -> npt.NDArray[np.float32]:
    """Weighted mean over windows, (K, X, Y, Z); sums are kept on the device, and windows added in order."""
    importance = compute_importance_map(patch_size, mode=spec.window_weights, sigma_scale=0.125, device=device)
    shape = image.shape[1:]
    total: torch.Tensor | None = None
    weight = torch.zeros(shape, device=device)
    for some in _batched(windows, spec.window_batch):
        patches = torch.from_numpy(np.stack([image[(slice(None), *window)] for window in some]))
        probabilities = _foreground(model, patches.to(device), spec.mirror)
        if total is None:
            total = torch.zeros((probabilities.shape[1], *shape), device=device)
        for window, probability in zip(some, probabilities, strict=True):
            total[(slice(None), *window)] += probability * importance
            weight[window] += importance
    if total is None:
        return np.zeros((_classes(model, image.shape[0], patch_size, device), *shape), np.float32)
    mean: npt.NDArray[np.float32] = (total / weight.clamp_min(1e-12)).cpu().numpy()
    return mean


def _foreground(model: torch.nn.Module, patches: torch.Tensor, mirror: bool) -> torch.Tensor:
    """Softmax without the background: (B, C, *patch) to (B, K, *patch)."""
    flips = _flips() if mirror else [()]
    total = torch.zeros((), device=patches.device)
    for axes in flips:
        logits = model(patches.flip(axes) if axes else patches)
        probabilities = logits.float().softmax(dim=1)[:, 1:]
        total = total + (probabilities.flip(axes) if axes else probabilities)
    return total / len(flips)


def _flips() -> list[tuple[int, ...]]:
    axes = (2, 3, 4)
    return [chosen for count in range(4) for chosen in itertools.combinations(axes, count)]


def _classes(model: torch.nn.Module, channels: int, patch_size: tuple[int, ...], device: torch.device) -> int:
    """Number of foreground classes, asked of the network itself: a case without brain has no other answer."""
    empty = torch.zeros((1, channels, *patch_size), device=device)
    return int(model(empty).shape[1]) - 1


def _batched(windows: list[Window], size: int) -> Iterator[list[Window]]:
    for start in range(0, len(windows), size):
        yield windows[start : start + size]


def _pad(
    image: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8], patch_size: tuple[int, int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], Window]:
    """Pad with 0 to the window's size, half on either side; and where the original then lies."""
    widths, inner = [], []
    for length, edge in zip(mask.shape, patch_size, strict=True):
        missing = max(edge - length, 0)
        widths.append((missing // 2, missing - missing // 2))
        inner.append(slice(missing // 2, missing // 2 + length))
    x, y, z = inner
    return np.pad(image, [(0, 0), *widths]), np.pad(mask, widths), (x, y, z)
