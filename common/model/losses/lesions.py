"""The lesions of a training patch, numbered, and sums over each of them."""

from dataclasses import dataclass

import cc3d
import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Lesions:
    """The 26-connected components of equal foreground class of a batch; component n of N has index n - 1.

    Attributes:
        number: (B, X, Y, Z) int64, 0 where there is none, else 1 to N over the whole batch.
        sample, cls: (N,) int64, where a lesion lies and of which class it is.
        voxels: (N,) float32 size.
    """

    number: torch.Tensor
    sample: torch.Tensor
    cls: torch.Tensor
    voxels: torch.Tensor


@dataclass(frozen=True, slots=True)
class LesionSums:
    """What overlap losses need of a prediction.

    Attributes:
        inside: (N,) sum over each lesion's voxels of the probability of its class.
        outside: (B, C) sum of a class's probability over the voxels that are not of it.
    """

    inside: torch.Tensor
    outside: torch.Tensor


def number_lesions(classes: torch.Tensor) -> Lesions:
    """Number the lesions of a batch (B, X, Y, Z) int64, on the CPU wherever the batch lies.

    A batch on torch's meta device, which has shapes and no values, holds no lesion.
    """
    numbers = torch.zeros_like(classes)
    tables: list[np.ndarray] = []
    if not classes.is_meta:
        maps = []
        for sample, values in enumerate(classes.cpu().numpy().astype(np.uint8)):
            found, count = cc3d.connected_components(values, connectivity=26, return_N=True, out_dtype=np.uint32)
            flat, of = found.ravel(order="K"), values.ravel(order="K")
            table = np.zeros((3, count), np.int64)
            table[0], table[1, flat[flat > 0] - 1] = sample, of[flat > 0]
            table[2] = np.bincount(flat, minlength=count + 1)[1:]
            before = sum(each.shape[1] for each in tables)
            maps.append(np.where(found > 0, found.astype(np.int64) + before, 0))
            tables.append(table)
        numbers = torch.from_numpy(np.stack(maps)).to(classes.device)
    rows = np.concatenate(tables, axis=1) if tables else np.zeros((3, 0), np.int64)
    sample_of, class_of, voxels = torch.from_numpy(rows).to(classes.device)
    return Lesions(numbers, sample_of, class_of, voxels.float())


def sum_over_lesions(probabilities: torch.Tensor, classes: torch.Tensor, lesions: Lesions) -> LesionSums:
    """Sum probabilities (B, C, X, Y, Z) in and around the lesions of `classes` (B, X, Y, Z).

    Added up in float64: 128 cubed values below 1, one after the other, would lose their last digits in float32.
    """
    own = probabilities.gather(1, classes.unsqueeze(1)).squeeze(1)
    totals = torch.zeros(len(lesions.voxels) + 1, dtype=torch.float64, device=own.device)
    totals = totals.index_add(0, lesions.number.flatten(), own.flatten().double())
    elsewhere = classes.unsqueeze(1) != torch.arange(probabilities.shape[1], device=classes.device).view(
        1, -1, 1, 1, 1
    )
    outside = (probabilities * elsewhere).flatten(2).sum(2)
    return LesionSums(totals[1:].float(), outside)


def sum_by_class(values: torch.Tensor, lesions: Lesions, like: torch.Tensor) -> torch.Tensor:
    """Add up a value of each lesion (N,) to (B, C), the shape of `like`, by sample and class."""
    samples, classes = like.shape
    flat = torch.zeros(samples * classes, dtype=values.dtype, device=values.device)
    return flat.index_add(0, lesions.sample * classes + lesions.cls, values).view(samples, classes)
