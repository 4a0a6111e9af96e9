"""Two random masks with lesions of many shapes, a few lines a scan."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Bits = npt.NDArray[np.bool_]


def blob_pair(seed: int, shape: tuple[int, int, int] = (26, 22, 18), level: float = 0.09) -> tuple[Bits, Bits]:
    """A prediction and a reference that agree in part."""
    rng = np.random.default_rng(seed)
    shared, first, second = (ndimage.gaussian_filter(rng.normal(size=shape), 1.4) for _ in range(3))
    return shared + 0.5 * first > level * 1.3, shared + 0.5 * second > level * 1.3


def boxes(shape: tuple[int, int, int], *corners: tuple[int, int, int, int]) -> Bits:
    """A mask of cubes, each given by its first voxel and its edge."""
    mask = np.zeros(shape, bool)
    for x, y, z, edge in corners:
        mask[x : x + edge, y : y + edge, z : z + edge] = True
    return mask
