"""Clean up a predicted mask: lesions outside the brain, and lesions too small to be believed, are taken away.

The same function serves training's validation, the scoring of a simulation and `fedmets-site segment`, always on
the images' own grid and in mm3 of their header. A lesion is what the metrics call one, a 26-connected component:
for its size of the classes that count as tumour (`evaluation.tumour`), for its place of all classes together.

Source: taking away what is predicted outside the skull-stripped brain follows the post-processing of the study of
small lung-cancer metastases with nnU-Net and focal loss (Lee et al., Intelligent Oncology).
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from client.data.brain_mask import MASK_THRESHOLD
from client.data.case import Grid, PreparedCase
from client.data.geometry import to_native
from client.tumour import tumour_of_mask
from common.metrics.detection import label_lesions
from common.metrics.overlap import content_box
from common.plan import Plan, PostprocessingSpec

Classes: TypeAlias = npt.NDArray[np.uint8]
Inside: TypeAlias = npt.NDArray[np.bool_]

_ROUNDING = 1e-6
"""A header's spacing is float32: ten voxels of 1 mm3 may measure 9.9999999, and are 10 mm3 all the same."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many lesions were taken away for one reason, and their volume together."""

    lesions: int = 0
    volume_mm3: float = 0.0


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A mask after its clean-up.

    Attributes:
        mask: (X, Y, Z) class indices, 0 background.
        outside_brain: lesions taken away for lying outside the brain; voxels cut off at the mask are not counted.
        too_small: lesions taken away for their volume.
    """

    mask: Classes
    outside_brain: Removed = Removed()
    too_small: Removed = Removed()


def clean_native(mask: Classes, case: PreparedCase, plan: Plan, native: Grid | None = None) -> Cleaned:
    """Clean a mask on a case's native grid, or on `native` where the mask lies on that one."""
    grid = native or case.native
    return clean(mask, grid, plan, native_brain(case, plan, grid))


def native_brain(case: PreparedCase, plan: Plan, native: Grid) -> Inside | None:
    """The brain (X, Y, Z) on a native grid for `clean`; None where the plan's clean-up does not ask for it."""
    if plan.postprocessing.outside_brain != "lesions":
        return None
    inside: Inside = to_native(case.mask, case.grid, native) >= MASK_THRESHOLD
    return inside


def takes_lesions_away(spec: PostprocessingSpec) -> bool:
    """Whether `clean` can change a mask at all."""
    return spec.outside_brain == "lesions" or spec.min_lesion_mm3 > 0.0


def clean(mask: Classes, grid: Grid, plan: Plan, brain: Inside | None) -> Cleaned:
    """Take away what the plan says, lesions outside the brain before small ones.

    With the default settings the mask comes back as it is: what lies outside the brain was cut off voxel by voxel
    when it was predicted. On a grid of 1 x 1 x 2 mm a lesion of 4 voxels has 8 mm3: min_lesion_mm3 = 8 keeps it,
    8.1 takes it away.

    Args:
        mask: (X, Y, Z) class indices, 0 background; left untouched.
        grid: of the mask.
        plan: its `postprocessing`, and the classes that count as tumour.
        brain: (X, Y, Z), true in the brain; needed with outside_brain = "lesions" only.

    Raises:
        ValueError: there is no brain where one is needed, or the shapes differ.
    """
    spec = plan.postprocessing
    outside = small = Removed()
    if spec.outside_brain == "lesions":
        if brain is None or brain.shape != mask.shape:
            got = "none" if brain is None else f"one of shape {brain.shape}"
            raise ValueError(f"outside_brain = 'lesions' needs a brain mask of shape {mask.shape}, got {got}")
        mask, outside = _without_outsiders(mask, brain, grid, spec)
    if spec.min_lesion_mm3 > 0.0:
        mask, small = _without_small(mask, tumour_of_mask(mask, plan), grid, spec.min_lesion_mm3)
    return Cleaned(mask, outside, small)


def _without_outsiders(
    mask: Classes, brain: Inside, grid: Grid, spec: PostprocessingSpec
) -> tuple[Classes, Removed]:
    box = widened(content_box(mask), mask.shape, grid.spacing_mm, spec.brain_margin_mm)
    inside = shrunk(brain[box], grid.spacing_mm, spec.brain_margin_mm)
    labels, count = label_lesions(mask[box])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    held = np.bincount(labels[inside], minlength=count + 1)
    leaves = held < spec.min_inside_share * sizes
    return _without(mask, box, labels, sizes, leaves, grid)


def _without_small(mask: Classes, tumour: Inside, grid: Grid, min_lesion_mm3: float) -> tuple[Classes, Removed]:
    box = content_box(tumour)
    labels, count = label_lesions(tumour[box])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    leaves = sizes * grid.voxel_volume_mm3 < min_lesion_mm3 * (1.0 - _ROUNDING)
    return _without(mask, box, labels, sizes, leaves, grid)


def _without(
    mask: Classes,
    box: tuple[slice, ...],
    labels: npt.NDArray[np.uint32],
    sizes: npt.NDArray[np.int_],
    leaves: npt.NDArray[np.bool_],
    grid: Grid,
) -> tuple[Classes, Removed]:
    """The mask without the lesions that `leaves` says, by number; number 0 is background and always stays."""
    leaves[0] = False
    if not leaves.any():
        return mask, Removed()
    kept = mask.copy()
    kept[box][leaves[labels]] = 0
    return kept, Removed(int(np.count_nonzero(leaves)), float(sizes[leaves].sum() * grid.voxel_volume_mm3))


def shrunk(brain: Inside, spacing_mm: tuple[float, float, float], margin_mm: float) -> Inside:
    """The voxels that have no voxel outside the brain within the margin, from centre to centre.

    Where the field of view ends in the brain, the brain does not end: the volume's own border is no outside.
    """
    if margin_mm == 0.0 or brain.all():  # without any outside, scipy's distances mean nothing
        return brain
    inside: Inside = ndimage.distance_transform_edt(brain, sampling=spacing_mm) > margin_mm
    return inside


def widened(
    box: tuple[slice, ...], shape: tuple[int, ...], spacing_mm: tuple[float, float, float], margin_mm: float
) -> tuple[slice, ...]:
    """A box that reaches so far that everything within the margin of the smaller one lies in it.

    What is cleaned in the widened box of a mask's content comes out as in the whole volume.
    """
    reach = [int(np.ceil(margin_mm / edge_mm)) + 1 for edge_mm in spacing_mm]
    return tuple(
        slice(max(edge.start - voxels, 0), min(edge.stop + voxels, length))
        for edge, voxels, length in zip(box, reach, shape, strict=True)
    )
