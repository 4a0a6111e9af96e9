"""Exact distances in mm from points of one voxel grid to the nearest of others."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from common.metrics.surfels import Points, Spacing


def nearest_mm(origins: Points, targets: Points, spacing_mm: Spacing) -> npt.NDArray[np.float64]:
    """From every origin the distance to its nearest target; infinity where there is no target.

    The same number as a Euclidean distance transform gives, which would visit every voxel of the box around both
    surfaces: 0.002 s against 0.25 s for 30 small lesions all over a brain.

    Args:
        origins: (n, 3) indices.
        targets: (m, 3) indices on the same grid.
        spacing_mm: edges of its voxels.

    Returns:
        (n,) mm.
    """
    if len(targets) == 0:
        return np.full(len(origins), np.inf)
    if len(origins) == 0:
        return np.zeros(0)
    edges = np.asarray(spacing_mm, np.float64)
    tree = KDTree(targets * edges, leafsize=32)
    _, nearest = tree.query(origins * edges)
    # From whole indices: differences of products would carry their rounding into comparisons with a tolerance.
    steps = (origins - targets[nearest]) * edges
    distances: npt.NDArray[np.float64] = np.sqrt((steps * steps).sum(axis=1))
    return distances
