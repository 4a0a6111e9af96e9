"""Choose the cases to show, and the slice of each that shows most."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from common.metrics.detection import label_lesions
from common.metrics.scores import CaseScores
from simulation.report.content import Outline, Picture, SliceExample

Scalar = TypeVar("Scalar", bound=np.generic)
Volume = npt.NDArray[np.generic]
Focus = Literal["largest lesion", "largest error"]
_WINDOW_PERCENT = (1.0, 99.7)


def choose_cases(scores: Sequence[CaseScores]) -> tuple[tuple[str, CaseScores, Focus], ...]:
    """The best, the median and the worst case by Dice, each with what to show of it.

    Cases without a reference lesion come in only when there are no others: a Dice of 1 on an empty brain is no
    picture. With fewer than three cases the rest is left out; of two medians the worse one is taken.
    """
    ranked = sorted(
        [score for score in scores if score.lesions] or scores,
        key=lambda score: (-score.dice, score.site, score.exam),
    )
    if not ranked:
        return ()
    chosen: list[tuple[str, CaseScores, Focus]] = [("best", ranked[0], "largest lesion")]
    if len(ranked) > 2:
        chosen.append(("median", ranked[len(ranked) // 2], "largest lesion"))
    if len(ranked) > 1:
        chosen.append(("worst", ranked[-1], "largest error"))
    return tuple(chosen)


def cut_slice(
    title: str,
    score: CaseScores,
    images: Mapping[str, Volume],
    reference: Volume,
    prediction: Volume,
    spacing_mm: tuple[float, float, float],
    focus: Focus = "largest lesion",
    brain_mask: Volume | None = None,
) -> SliceExample:
    """Cut one axial slice.

    Args:
        title: why the case is shown.
        score: the case's scores.
        images: (X, Y, Z) by sequence, axes to the right, the front and the top (RAS), all on one grid.
        reference: (X, Y, Z), whatever is not 0 is lesion; likewise `prediction`.
        spacing_mm: of that grid.
        focus: go through the middle of the largest reference lesion, or of the largest connected error.
        brain_mask: (X, Y, Z); what is outside is drawn black. Without it, 0 in every image is outside.

    Raises:
        ValueError: an array is on another grid; it is named with both shapes.
    """
    expected, predicted = reference != 0, prediction != 0
    outside = brain_mask if brain_mask is not None else np.any([image != 0 for image in images.values()], axis=0)
    for name, array in {**images, "prediction": predicted, "brain_mask": outside}.items():
        if array.shape != expected.shape:
            raise ValueError(f"exam {score.exam}: {name} has shape {array.shape}, the reference {expected.shape}")
    centre, shown = _centre(expected, predicted, focus)
    level = centre[2]
    inside = _as_seen(outside[:, :, level] != 0)
    rows, columns = inside.shape
    return SliceExample(
        title=title,
        exam=score.exam,
        site=score.site,
        dice=score.dice,
        images={name: _window(_as_seen(image[:, :, level]), inside) for name, image in images.items()},
        reference=_as_seen(expected[:, :, level]),
        prediction=_as_seen(predicted[:, :, level]),
        pixel_mm=(spacing_mm[1], spacing_mm[0]),
        focus=(rows - 1 - centre[1], columns - 1 - centre[0]),
        remark=f"slice {level + 1} of {expected.shape[2]}, through the {shown}",
    )


def _centre(expected: Outline, predicted: Outline, focus: Focus) -> tuple[tuple[int, int, int], str]:
    """A voxel of the largest component of what is asked for, nearest to its middle; else the grid's middle."""
    error = expected ^ predicted
    wanted = [(expected, "largest lesion"), (error, "largest error")]
    for mask, name in wanted if focus == "largest lesion" else wanted[::-1]:
        labels, count = label_lesions(mask)
        if count:
            sizes = np.bincount(labels.ravel(order="K"))[1:]
            voxels = np.argwhere(labels == 1 + int(np.argmax(sizes)))
            x, y, z = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]
            return (int(x), int(y), int(z)), name
    x, y, z = (size // 2 for size in expected.shape)
    return (x, y, z), "middle of the volume, which has neither lesion nor error"


def _as_seen(plane: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """(X, Y) with axes to the right and the front, as rows from front to back, the patient's right on the left."""
    return np.ascontiguousarray(plane[::-1, ::-1].T)


def _window(plane: npt.NDArray[np.generic], inside: Outline) -> Picture:
    """Grey levels from 0 to 1 between two percentiles of the brain; black outside it."""
    values = plane.astype(np.float32)
    if not inside.any():
        return np.zeros_like(values)
    low, high = np.percentile(values[inside], _WINDOW_PERCENT)
    grey = np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0)
    return np.where(inside, 0.06 + 0.94 * grey, 0.0).astype(np.float32)
