"""Prepared cases made by hand: noise with one bright ball, two channels."""

import numpy as np

from client.data.case import Grid, Metadata, PreparedCase


def ball_case(
    seed: int, shape: tuple[int, int, int] = (24, 20, 28), radius: int = 4, contrast: float = 3.0
) -> PreparedCase:
    """A case whose lesion is a ball of the given radius, brighter in the first channel."""
    rng = np.random.default_rng(seed)
    centre = [rng.integers(radius, length - radius) for length in shape]
    distance = sum((axis - c) ** 2 for axis, c in zip(np.indices(shape), centre, strict=True))
    label = (distance <= radius**2).astype(np.uint8)
    image = rng.standard_normal((2, *shape), dtype=np.float32)
    image[0] += contrast * label
    return case_of(f"case-{seed}", image, label)


def case_of(
    exam: str, image: np.ndarray, label: np.ndarray | None, mask: np.ndarray | None = None
) -> PreparedCase:
    """A case around given arrays, on a 1 mm grid; the brain is everywhere unless a mask says otherwise."""
    x, y, z = image.shape[1:]
    grid = Grid((x, y, z), np.eye(4))
    return PreparedCase(
        patient=exam,
        exam=exam,
        metadata=Metadata(),
        image=image,
        label=label,
        mask=np.ones((x, y, z), np.uint8) if mask is None else mask,
        grid=grid,
        native=grid,
        reference=label,
        lesion_voxels=np.argwhere(label if label is not None else np.zeros((x, y, z))).astype(np.int32),
    )
