"""Patches out of prepared cases: where to cut, cutting, and joining the batches of several sites."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from client.data.augmentation import Change, draw_change
from client.data.case import PreparedCase
from client.data.lesion_sampling import LesionTable, table_of_lesions
from client.data.modality_dropout import draw_absent
from common.errors import DataError
from common.label_meanings import Meanings
from common.plan import TrainingSpec

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches for one step, as cut; `changes` are applied on the training device.

    Attributes:
        image: (B, C, X, Y, Z) float32.
        label: (B, X, Y, Z) int64.
        shares: (B,) float32, the weight of each sample's loss; they sum to 1.
        changes: augmentation of each sample.
        meanings: what each sample's label indices stand for; empty, or an empty entry, where each is the class of
            its number.
    """

    image: torch.Tensor
    label: torch.Tensor
    shares: torch.Tensor
    changes: tuple[Change, ...]
    meanings: tuple[Meanings, ...] = ()


class Sampler(Protocol):
    """Whatever gives batches."""

    def next(self) -> Batch:
        """The next batch."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a patch begins: voxel `start` of a case, below 0 where the case is smaller than the patch."""

    case: PreparedCase
    start: Shape


def round_seed(seed: int, site: str, round_id: int) -> np.random.SeedSequence:
    """The seed of one site's round: the same in every process and on every machine, unlike `hash`."""
    digest = hashlib.sha256(f"{seed}/{round_id}/{site}".encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest, "little"))


class PatchSampler:
    """Draws batches from one site's cases, with replacement: by nnU-Net's rule for foreground, or by lesion."""

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        spec: TrainingSpec,
        rng: np.random.Generator,
        optional_channels: tuple[int, ...] = (),
        tumour: frozenset[int] = frozenset(),
    ) -> None:
        """Keep the cases; nothing is read yet. Places, changes and dropped channels have generators of their own,
        spawned of `rng`, so that the same patches are cut with augmentation and without.

        Args:
            cases: of one site.
            spec: what the plan says of training.
            rng: of the site's round.
            optional_channels: those that modality dropout may take.
            tumour: the plan's classes that count as tumour, () for all: what lesions are made of.

        Raises:
            DataError: no case, or a case without a label.
        """
        if not cases:
            raise DataError("no training case: nothing to cut patches from")
        for case in cases:
            if case.label is None:
                raise DataError(f"case {case.exam} has no label: it can be segmented, not trained on")
        self._cases = tuple(cases)
        self._spec = spec
        self._optional_channels = optional_channels
        self._lesions = table_of_lesions(self._cases, spec, tumour) if spec.sampling == "small_lesions" else None
        self._places_rng, self._changes_rng, self._dropout_rng = rng.spawn(3)

    def next(self) -> Batch:
        """Cut one batch; only the patches' bytes are read from the memory-mapped arrays."""
        places = draw_places(self._cases, self._spec, self._places_rng, self._lesions)
        changes = tuple(self._draw_change(place.case) for place in places)
        image, label = cut(places, self._spec.patch_size)
        return Batch(
            image=torch.from_numpy(image),
            label=torch.from_numpy(label),
            shares=torch.full((len(places),), 1.0 / len(places)),
            changes=changes,
            meanings=tuple(place.case.meanings for place in places),
        )

    def _draw_change(self, case: PreparedCase) -> Change:
        spec = self._spec
        change = draw_change(spec.augmentation, case.image.shape[0], self._changes_rng, case.grid.spacing_mm)
        absent = draw_absent(
            case.absent_channels, self._optional_channels, spec.modality_dropout, self._dropout_rng
        )
        return replace(change, absent=absent)


class JoinedSampler:
    """One batch out of every site's, for training on pooled data with the federation's own examples."""

    def __init__(self, samplers: Sequence[Sampler], shares: Sequence[float]) -> None:
        """Join samplers; `shares` are the sites' weights in the mean and are normalised.

        Sites of 30 and 10 cases with batches of 2 give samples the shares 0.375, 0.375, 0.125, 0.125.

        Raises:
            ValueError: no sampler, one share too many or too few, or shares that are not positive.
        """
        if not samplers or len(samplers) != len(shares) or min(shares) <= 0.0:
            raise ValueError(f"{len(samplers)} samplers with shares {list(shares)}: one positive share each")
        self._samplers = tuple(samplers)
        self._shares = tuple(share / sum(shares) for share in shares)

    def next(self) -> Batch:
        """Concatenate the sites' next batches."""
        batches = [sampler.next() for sampler in self._samplers]
        weighted = [batch.shares * share for batch, share in zip(batches, self._shares, strict=True)]
        return Batch(
            image=torch.cat([batch.image for batch in batches]),
            label=torch.cat([batch.label for batch in batches]),
            shares=torch.cat(weighted),
            changes=tuple(change for batch in batches for change in batch.changes),
            meanings=tuple(each for batch in batches for each in batch.meanings),
        )


def draw_places(
    cases: Sequence[PreparedCase],
    spec: TrainingSpec,
    rng: np.random.Generator,
    lesions: LesionTable | None = None,
) -> tuple[Place, ...]:
    """Draw where a batch's patches lie.

    Sample j must hold foreground when j >= round(batch_size * (1 - foreground_share)) (nnU-Net): a batch of 2 at
    0.33 forces exactly the second. A forced patch is centred on a random voxel of a random class of its case,
    moved inward at the border; the others lie anywhere. A forced patch of a case without lesions lies anywhere.
    With `lesions` a forced patch is centred on a random voxel of a lesion that is drawn from these, and its case
    is that lesion's.
    """
    places = []
    for sample in range(spec.batch_size):
        forced = sample >= spec.first_centred
        centre: npt.NDArray[np.int32] | None
        if forced and lesions is not None:
            case, centre = lesions.draw(rng)
        else:
            case = cases[int(rng.integers(len(cases)))]
            centre = _foreground_voxel(case, rng) if forced else None
        places.append(Place(case, _start(case.mask.shape, spec.patch_size, centre, rng)))
    return tuple(places)


def cut(places: Sequence[Place], patch_size: Shape) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Copy patches: image (B, C, *patch) float32 and label (B, *patch) int64, 0 where a case ends."""
    image = np.zeros((len(places), places[0].case.image.shape[0], *patch_size), np.float32)
    label = np.zeros((len(places), *patch_size), np.int64)
    for sample, place in enumerate(places):
        source: list[slice] = []
        target: list[slice] = []
        for begin, edge, length in zip(place.start, patch_size, place.case.mask.shape, strict=True):
            low, high = max(begin, 0), min(begin + edge, length)
            source.append(slice(low, high))
            target.append(slice(low - begin, high - begin))
        image[sample][(slice(None), *target)] = place.case.image[(slice(None), *source)]
        if place.case.label is not None:
            label[sample][tuple(target)] = place.case.label[tuple(source)]
    return image, label


def _foreground_voxel(case: PreparedCase, rng: np.random.Generator) -> npt.NDArray[np.int32] | None:
    voxels = case.lesion_voxels
    if case.label is None or len(voxels) == 0:
        return None
    classes = case.label[tuple(voxels.T)]
    present = np.unique(classes)
    if len(present) > 1:
        voxels = voxels[classes == present[rng.integers(len(present))]]
    return voxels[rng.integers(len(voxels))]  # type: ignore[no-any-return]


def _start(
    shape: tuple[int, ...], patch_size: Shape, centre: npt.NDArray[np.int32] | None, rng: np.random.Generator
) -> Shape:
    starts = []
    for axis, (length, edge) in enumerate(zip(shape, patch_size, strict=True)):
        slack = length - edge
        if slack < 0:
            starts.append(-(-slack // 2))
        elif centre is None:
            starts.append(int(rng.integers(slack + 1)))
        else:
            starts.append(min(max(int(centre[axis]) - edge // 2, 0), slack))
    x, y, z = starts
    return (x, y, z)
