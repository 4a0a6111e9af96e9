"""How far intensity alone goes: the score that a trained network must clearly beat."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_STEPS = 200


def best_threshold_dice(
    images: Sequence[npt.NDArray[np.number]], labels: Sequence[npt.NDArray[np.integer]]
) -> float:
    """Mean Dice over cases of the one global threshold that does best on these very cases.

    Args:
        images: (X, Y, Z) post-contrast T1, 0 outside the brain; each is z-scored inside its brain here.
        labels: (X, Y, Z), above 0 in the lesion. Both empty scores 1.

    The threshold is chosen with the labels in hand, so the figure is an upper bound on what thresholding can do.
    """
    scored = []
    for image, label in zip(images, labels, strict=True):
        brain = image[image != 0].astype(np.float64)
        truth = label[image != 0] > 0
        lost = int(np.count_nonzero(label > 0)) - int(truth.sum())
        scored.append(((brain - brain.mean()) / (brain.std() + 1e-9), truth, lost))
    thresholds = np.linspace(-1.0, max(float(values.max()) for values, _, _ in scored), _STEPS)
    dice = np.zeros(_STEPS)
    for values, truth, lost in scored:
        lesion, other = np.sort(values[truth]), np.sort(values[~truth])
        hits = len(lesion) - np.searchsorted(lesion, thresholds)
        false = len(other) - np.searchsorted(other, thresholds)
        total = hits + false + len(lesion) + lost
        dice += np.where(total > 0, 2.0 * hits / np.maximum(total, 1), 1.0)
    return float(dice.max() / len(scored))
