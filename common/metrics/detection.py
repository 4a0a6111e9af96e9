"""Lesions as connected components, and which of them a prediction finds."""

from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt

from common.metrics.overlap import Mask, require_same_shape

MATCHING_RULE = (
    "any-overlap-26: lesions are 26-connected components; a reference lesion is found when the prediction "
    "covers at least one of its voxels; a predicted component is a false positive when it touches no "
    "reference voxel"
)


@dataclass(frozen=True, slots=True)
class Detection:
    """Which lesions of one case were found, under MATCHING_RULE.

    Attributes:
        reference_voxels: (lesions,) int64, size of every reference lesion.
        detected: (lesions,) bool, in the same order.
        predicted_lesions: number of predicted components.
        false_positives: those of them that touch no reference voxel.
    """

    reference_voxels: npt.NDArray[np.int64]
    detected: npt.NDArray[np.bool_]
    predicted_lesions: int
    false_positives: int


def label_lesions(mask: Mask) -> tuple[npt.NDArray[np.uint32], int]:
    """Number the 26-connected components of a 3-D mask from 1; 0 is background.

    Two voxels that share a corner belong together: the diagonal of a cube of 3 is one component.

    Returns:
        (X, Y, Z) uint32 component numbers, and how many there are.
    """
    if mask.size == 0:
        return np.zeros(mask.shape, np.uint32), 0
    marked = mask != 0
    if 8 * np.count_nonzero(marked) > marked.size:
        # cc3d 4.1.1 makes too little room for bool: two lesions at the ends of a box of 1 x 1 x 3 make it fail.
        # Integers take longer and give the same numbers.
        marked = marked.view(np.uint8)
    labels, count = cc3d.connected_components(marked, connectivity=26, return_N=True, out_dtype=np.uint32)
    return labels, int(count)


def match_lesions(prediction: Mask, reference: Mask) -> Detection:
    """Apply MATCHING_RULE to two 3-D masks.

    Many to one is allowed both ways: one predicted blob over two lesions finds both, and two predicted
    fragments of one lesion are both true. Two lesions, one of them touched, and a stray blob give
    detected = (True, False), predicted_lesions = 2, false_positives = 1.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(prediction, reference)
    reference_labels, lesions = label_lesions(reference)
    predicted_labels, predicted = label_lesions(prediction)
    touched = np.zeros(lesions + 1, bool)
    touched[reference_labels[predicted_labels != 0]] = True
    true = np.zeros(predicted + 1, bool)
    true[predicted_labels[reference_labels != 0]] = True
    voxels = np.bincount(reference_labels.ravel(order="K"), minlength=lesions + 1)
    return Detection(
        reference_voxels=voxels[1:].astype(np.int64),
        detected=touched[1:],
        predicted_lesions=predicted,
        false_positives=predicted - int(np.count_nonzero(true[1:])),
    )


def lesion_volumes_mm3(mask: Mask, voxel_volume_mm3: float) -> tuple[float, ...]:
    """Volume of every 26-connected lesion of a 3-D mask: 5 voxels of 8 mm3 are 40.0."""
    labels, count = label_lesions(mask)
    voxels = np.bincount(labels.ravel(order="K"), minlength=count + 1)[1:]
    return tuple(float(size) for size in voxels * voxel_volume_mm3)
