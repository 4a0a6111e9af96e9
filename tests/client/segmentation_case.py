"""A head with one bright lesion, defined in scanner space and scanned on any grid; and a model that finds it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from common.plan import EvaluationSpec, ModelSpec, Plan, PreprocessingSpec, Terms, TrainingSpec
from common.release import write_release
from common.weights import pack
from tests.nifti import oriented_affine, write_nifti

HEAD_MM = np.array([3.0, -6.0, 4.0])
LESION_MM = np.array([18.0, -14.0, 12.0])
LESION_RADIUS_MM = 9.0
LESION_MM3 = 4 / 3 * np.pi * LESION_RADIUS_MM**3
_FIELD_OF_VIEW_MM = 116.0

PLAN = Plan(
    name="trick",
    seed=1,
    sites=("north",),
    sequences=("t1c", "flair"),
    preprocessing=PreprocessingSpec(spacing_mm=(2.0, 2.0, 2.0)),
    model=ModelSpec(name="unet_small", channels=(4, 8, 16)),
    training=TrainingSpec(patch_size=(32, 32, 32)),
    evaluation=EvaluationSpec(window_overlap=0.25),
)


def scan(
    path: Path,
    codes: str = "RAS",
    spacing_mm: Sequence[float] = (2.0, 2.0, 2.0),
    rotation_degrees: float = 0.0,
    skull: bool = False,
) -> Path:
    """Write the head as this scanner sees it: tissue 100, lesion 500, background 0 or, with a skull, noise."""
    shape = tuple(round(_FIELD_OF_VIEW_MM / edge) for edge in spacing_mm)
    affine = oriented_affine(codes, spacing_mm, shape, rotation_degrees)
    return write_nifti(path, _image(affine, shape, skull), affine)


def _image(affine: npt.NDArray[np.float64], shape: Sequence[int], skull: bool) -> npt.NDArray[np.float32]:
    points = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    brain = (((points - HEAD_MM) / (38.0, 45.0, 40.0)) ** 2).sum(axis=-1) <= 1.0
    lesion = ((points - LESION_MM) ** 2).sum(axis=-1) <= LESION_RADIUS_MM**2
    texture = 10.0 * np.sin(points / 7.0).sum(axis=-1)
    outside = 5.0 + np.random.default_rng(0).random(shape) if skull else np.zeros(shape)
    image = np.where(lesion, 500.0, np.where(brain, 100.0 + texture, outside))
    return image.astype(np.float32)


def write_trick_release(folder: Path) -> Path:
    """A model whose network is `threshold_network`: probability 0.5 at 4 standard deviations on t1c."""
    weight = np.zeros((2, 2, 1, 1, 1))
    weight[1, 0] = 3.0
    write_release(folder, PLAN, pack({"weight": weight, "bias": np.array([0.0, -12.0])}), {}, round_id=1)
    return folder


def threshold_network(terms: Terms) -> torch.nn.Module:
    """In place of `new_network`: one 1 x 1 x 1 convolution, whose weights make it a threshold."""
    return torch.nn.Conv3d(terms.in_channels, terms.out_channels, kernel_size=1)
