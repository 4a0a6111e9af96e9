"""Voxel overlap of two masks."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.generic]


def dice(prediction: Mask, reference: Mask) -> float:
    """Dice coefficient of two masks, 2 |P and R| / (|P| + |R|); whatever is not 0 is foreground.

    Edge cases: both empty 1.0 (nothing to find, nothing marked), one empty 0.0.
    3 voxels against 5, of which 2 are shared: 2 * 2 / (3 + 5) = 0.5.

    Args:
        prediction: any shape, bool or class indices.
        reference: the same shape.

    Raises:
        ValueError: the shapes differ.

    Source: Dice 1945; as a segmentation score Zijdenbos et al. 1994.
    """
    require_same_shape(prediction, reference)
    predicted, expected = prediction != 0, reference != 0
    total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(expected))
    if total == 0:
        return 1.0
    return 2.0 * int(np.count_nonzero(predicted & expected)) / total


def require_same_shape(prediction: Mask, reference: Mask, where: str = "") -> None:
    """Raise ValueError naming both shapes when they differ."""
    if prediction.shape != reference.shape:
        raise ValueError(
            f"{where}prediction has shape {prediction.shape}, reference {reference.shape}: "
            "bring the prediction to the reference's grid first"
        )


def crop_to_content(prediction: Mask, reference: Mask) -> tuple[Mask, Mask]:
    """Cut both masks to the smallest box that holds every foreground voxel of either.

    Scores are the same, and a whole head of 9 million voxels becomes a few thousand around its lesions.
    Two empty masks give empty arrays.
    """
    box = content_box((prediction != 0) | (reference != 0))
    return prediction[box], reference[box]


def content_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box that holds every foreground voxel; one of no voxels for an empty mask."""
    inside = mask != 0
    box = []
    for axis in range(inside.ndim):
        others = tuple(other for other in range(inside.ndim) if other != axis)
        occupied = np.flatnonzero(inside.any(axis=others))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else slice(0, 0))
    return tuple(box)
