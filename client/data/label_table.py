"""Where a label map holds one of several indices."""

from collections.abc import Set

import numpy as np
import numpy.typing as npt


def where_any(indices: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], counted: Set[int]) -> npt.NDArray[np.bool_]:
    """Whether a voxel's index is among these; none given means every index but 0, which is background.

    Example: indices 0 1 2 3 and {1, 3} give no, yes, no, yes; and none given no, yes, yes, yes.
    """
    if not counted:
        return np.asarray(indices != 0)
    table = np.zeros(np.iinfo(indices.dtype).max + 1, dtype=bool)
    table[[index for index in counted if index < table.size]] = True
    return np.asarray(table[indices])
