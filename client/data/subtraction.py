"""A subtraction image where T1 with and without contrast exist: what enhances, without what is bright anyway."""

import numpy as np
import numpy.typing as npt

from common.errors import CaseReason, CaseRejected

Floats = npt.NDArray[np.float32]
_QUARTILES = (0.25, 0.5, 0.75)


def subtract_matched(post: Floats, pre: Floats, brain: npt.NDArray[np.bool_], exam: str) -> Floats:
    """t1c minus t1, the t1 first brought to t1c's scale by quartiles.

    Two acquisitions differ in gain and offset. Over the brain voxels that both cover, t1 is scaled and shifted
    until its median and its interquartile range are those of t1c. Enhancing lesions are far less than a quarter of
    any brain, so they do not move the quartiles as they would move mean and standard deviation.

    Worked numbers: quartiles of t1 80, 100, 120 and of t1c 170, 200, 230 give a factor of 60 / 40 = 1.5; a voxel
    of 110 in t1 and 260 in t1c becomes 260 - (200 + 1.5 * 10) = 45, in units of t1c.

    Args:
        post: t1c, (X, Y, Z); NaN where it does not reach.
        pre: t1 on the same grid; likewise.
        brain: (X, Y, Z), True in the brain.
        exam: for messages.

    Returns:
        (X, Y, Z), NaN where either image does not reach; not z-scored yet.

    Raises:
        CaseRejected: SEQUENCE_MISMATCH when no brain voxel is in both, CONSTANT_IMAGE when the quartiles of either
            image are equal, so that there is no scale to match.
    """
    both = brain & np.isfinite(post) & np.isfinite(pre)
    if not both.any():
        detail = "t1 and t1c share no voxel of the brain; register the sequences to each other first"
        raise CaseRejected(CaseReason.SEQUENCE_MISMATCH, exam, detail)
    pre_low, pre_middle, pre_high = _quartiles(pre[both], "t1", exam)
    post_low, post_middle, post_high = _quartiles(post[both], "t1c", exam)
    factor = (post_high - post_low) / (pre_high - pre_low)
    matched = (pre - np.float32(pre_middle)) * np.float32(factor) + np.float32(post_middle)
    return post - matched


def _quartiles(values: Floats, name: str, exam: str) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in np.quantile(values.astype(np.float64), _QUARTILES))
    if low == high:
        detail = f"half of the brain is {low:g} in {name}: no subtraction can be made of it; give another file"
        raise CaseRejected(CaseReason.CONSTANT_IMAGE, exam, detail)
    return low, middle, high
