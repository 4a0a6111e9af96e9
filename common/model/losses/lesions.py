"""The lesions of a training patch, numbered, and sums over each of them.

A lesion is a 26-connected component of the classes that count as tumour, taken together, as in the scores: its
core and its rim are one, and oedema is no lesion where the plan does not count it.
"""

from collections.abc import Set
from dataclasses import dataclass

import cc3d
import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Lesions:
    """The lesions of a batch; lesion n of N has index n - 1.

    Attributes:
        number: (B, X, Y, Z) int64, 0 where there is none, else 1 to N over the whole batch.
        sample: (N,) int64, where a lesion lies.
        voxels: (N,) float32 size, all its classes together.
        tumour: classes that lesions are made of, in rising order.
    """

    number: torch.Tensor
    sample: torch.Tensor
    voxels: torch.Tensor
    tumour: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LesionSums:
    """What the blob loss needs of a prediction.

    Attributes:
        inside: (N,) sum over each lesion's voxels of the probability of tumour.
        outside: (B,) sum of that probability over the voxels that are of no lesion.
    """

    inside: torch.Tensor
    outside: torch.Tensor


@dataclass(frozen=True, slots=True)
class ClassSums:
    """What a Dice of each class needs, every voxel weighed; all are (B, C).

    Attributes:
        found: sum of w p over the voxels of the class.
        drawn: sum of w over them.
        around: sum of w p over the voxels of other classes.
    """

    found: torch.Tensor
    drawn: torch.Tensor
    around: torch.Tensor


def number_lesions(classes: torch.Tensor, tumour: Set[int]) -> Lesions:
    """Number the lesions of a batch (B, X, Y, Z) int64, on the CPU wherever the batch lies.

    Args:
        classes: class of each voxel.
        tumour: classes that lesions are made of. Core, rim and oedema that touch are with {1, 3} one lesion of the
            core's and the rim's voxels, with {1, 2, 3} one of all.

    Returns:
        The lesions; none of a batch on torch's meta device, which has shapes and no values.
    """
    numbers = torch.zeros_like(classes)
    tables: list[np.ndarray] = []
    counted = np.zeros(256, np.uint8)
    counted[sorted(tumour)] = 1
    if not classes.is_meta:
        maps = []
        for sample, values in enumerate(classes.cpu().numpy().astype(np.uint8)):
            found, count = cc3d.connected_components(
                counted[values], connectivity=26, return_N=True, out_dtype=np.uint32
            )
            table = np.full((2, count), sample, np.int64)
            table[1] = np.bincount(found.ravel(order="K"), minlength=count + 1)[1:]
            before = sum(each.shape[1] for each in tables)
            maps.append(np.where(found > 0, found.astype(np.int64) + before, 0))
            tables.append(table)
        numbers = torch.from_numpy(np.stack(maps)).to(classes.device)
    rows = np.concatenate(tables, axis=1) if tables else np.zeros((2, 0), np.int64)
    sample_of, voxels = torch.from_numpy(rows).to(classes.device)
    return Lesions(numbers, sample_of, voxels.float(), tuple(sorted(tumour)))


def sum_over_lesions(probabilities: torch.Tensor, lesions: Lesions) -> LesionSums:
    """Sum the probability of tumour in and around the lesions; probabilities are (B, C, X, Y, Z) by class.

    Added up in float64: 128 cubed values below 1, one after the other, would lose their last digits in float32.
    """
    rest = [each for each in range(probabilities.shape[1]) if each not in lesions.tumour]
    # Two channels, as of a model that knows tumour and the rest: torch adds up a single one in another order.
    both = torch.stack([probabilities[:, each].sum(1) for each in (rest, list(lesions.tumour))], dim=1)
    totals = torch.zeros(len(lesions.voxels) + 1, dtype=torch.float64, device=both.device)
    totals = totals.index_add(0, lesions.number.flatten(), both[:, 1].flatten().double())
    outside = (both * (lesions.number == 0).unsqueeze(1)).flatten(2).sum(2)
    return LesionSums(totals[1:].float(), outside[:, 1])


def sum_by_class(
    probabilities: torch.Tensor, classes: torch.Tensor, lesions: Lesions, weights: torch.Tensor
) -> ClassSums:
    """Sum probabilities (B, C, X, Y, Z) in and around the classes drawn (B, X, Y, Z), by weight.

    The voxels of a lesion weigh what `weights` (N,) says of it, all others 1. Lesion by lesion and class by class
    the sums are of float64, as in `sum_over_lesions`.
    """
    samples, count = probabilities.shape[:2]
    every = torch.arange(samples, device=classes.device)
    # Row of a voxel: its lesion's, or after those the one for the rest of its sample; in each row a place a class.
    row = lesions.number - 1
    row = torch.where(row < 0, len(weights) + every.view(-1, 1, 1, 1), row)
    place = (row * count + classes).flatten()
    own = probabilities.gather(1, classes.unsqueeze(1)).flatten().double()
    empty = torch.zeros((len(weights) + samples) * count, dtype=torch.float64, device=own.device)
    inside, voxels = (
        empty.index_add(0, place, own).float(),
        empty.index_add(0, place, torch.ones_like(own)).float(),
    )

    weight = torch.cat([weights, torch.ones_like(every, dtype=weights.dtype)])
    sample = torch.cat([lesions.sample, every])
    target = (sample.unsqueeze(1) * count + torch.arange(count, device=every.device)).flatten()
    table = torch.zeros(samples * count, device=own.device)
    share = weight.repeat_interleave(count)
    found = table.index_add(0, target, share * inside).view(samples, count)
    drawn = table.index_add(0, target, share * voxels).view(samples, count)
    other = classes.unsqueeze(1) != torch.arange(count, device=every.device).view(1, -1, 1, 1, 1)
    around = (probabilities * weight[row].unsqueeze(1) * other).flatten(2).sum(2)
    return ClassSums(found, drawn, around)
