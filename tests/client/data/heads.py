"""A head in a few lines: an ellipsoid of noise on exact zeros, with a lesion."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from client.data.case import Case
from tests.nifti import oriented_affine, write_nifti

SHAPE = (24, 28, 20)
SPACING_MM = (4.0, 4.0, 4.0)


def brain(shape: tuple[int, int, int] = SHAPE, radius: float = 0.42) -> npt.NDArray[np.bool_]:
    """An ellipsoid of `radius` times the edge lengths, in the middle."""
    axes = np.meshgrid(*((np.arange(n) - (n - 1) / 2) / (radius * n) for n in shape), indexing="ij")
    return sum(axis**2 for axis in axes) <= 1.0  # type: ignore[no-any-return]


def head(seed: int, shape: tuple[int, int, int] = SHAPE) -> npt.NDArray[np.float32]:
    """A stripped image: about 100 with noise in the brain, exactly 0 outside."""
    noise = np.random.default_rng(seed).normal(100.0, 15.0, shape)
    return np.where(brain(shape), noise, 0.0).astype(np.float32)


def lesion(shape: tuple[int, int, int] = SHAPE) -> npt.NDArray[np.uint8]:
    """A 3 x 4 x 3 block of 1 off the middle: 36 voxels."""
    label = np.zeros(shape, dtype=np.uint8)
    x, y, z = (n // 2 for n in shape)
    label[x + 2 : x + 5, y : y + 4, z - 1 : z + 2] = 1
    return label


def write_case(folder: Path, codes: str = "RAS") -> Case:
    """A sound case with t1c, flair and label, its array axes pointing to `codes`."""
    affine = oriented_affine(codes, SPACING_MM, SHAPE)
    return Case(
        patient=folder.name,
        exam=folder.name,
        sequences={
            "t1c": write_nifti(folder / "t1c.nii.gz", head(1), affine),
            "flair": write_nifti(folder / "flair.nii.gz", head(2), affine),
        },
        label=write_nifti(folder / "seg.nii.gz", lesion(), affine),
    )
