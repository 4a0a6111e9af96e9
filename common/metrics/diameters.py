"""A lesion's longest diameter as a radiologist draws it: within one slice."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from common.metrics.overlap import Mask

_HULL_PAYS_ABOVE = 100
_EDGES = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float64) / 2.0


def longest_inplane_diameter_mm(lesion: Mask, spacing_mm: tuple[float, float, float], slice_axis: int) -> float:
    """Longest distance in mm between two points of a lesion's outline within one slice, over all its slices.

    The outline's points are the centres of the pixels' edges: a row of 4 pixels of 1 mm is 4 mm long, one pixel of
    0.9 by 0.9 mm is 0.9 mm. Slices are not joined: a column of 10 slices of one such pixel is 0.9 mm. An empty
    mask has 0.

    Args:
        lesion: (X, Y, Z), whatever is not 0 belongs to it.
        spacing_mm: voxel edges along the three array axes.
        slice_axis: the array axis that counts slices.

    Raises:
        ValueError: the mask is not 3-D, or there is no such axis.
    """
    if lesion.ndim != 3 or slice_axis not in (0, 1, 2):
        raise ValueError(f"mask of shape {lesion.shape}, slices along axis {slice_axis}: give 3-D and 0, 1 or 2")
    voxels = np.argwhere(lesion != 0)
    plane = [axis for axis in range(3) if axis != slice_axis]
    edges_mm = np.asarray([spacing_mm[axis] for axis in plane])
    longest = 0.0
    for number in np.unique(voxels[:, slice_axis]):
        pixels = voxels[voxels[:, slice_axis] == number][:, plane]
        reach_mm = float(np.linalg.norm((np.ptp(pixels, axis=0) + 1) * edges_mm))
        if reach_mm > longest:  # the corner of its box is farther than any two points of a slice
            longest = max(longest, _longest_mm(pixels, edges_mm))
    return longest


def equivalent_diameter_mm(volume_mm3: float) -> float:
    """Diameter of the ball of this volume: 27 mm3 is 3.72 mm."""
    return float(np.cbrt(6.0 * volume_mm3 / np.pi))


def _longest_mm(pixels: npt.NDArray[np.int64], edges_mm: npt.NDArray[np.float64]) -> float:
    points = (pixels[:, None, :] + _EDGES[None, :, :]).reshape(-1, 2) * edges_mm
    if len(points) > _HULL_PAYS_ABOVE:
        points = points[ConvexHull(points).vertices]
    return float(pdist(points).max())
