"""From a case's files to arrays on the plan's grid; deterministic, nothing is written.

Order: read and check, reorient to RAS, compare geometry, find the brain, crop to it, resample every file once and
straight onto the final grid, make a subtraction where it is asked for and lacking, z-score inside the brain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from client.data.brain_mask import (
    HOW_TO_GIVE_A_MASK,
    MASK_THRESHOLD,
    Mask,
    mask_by_command,
    own_background,
    read_mask,
    stripped_mask,
)
from client.data.case import Case, Grid, LabelRule, PreparedCase
from client.data.channels import POST_CONTRAST, PRE_CONTRAST, SUBTRACTION, Channels, find_channels
from client.data.geometry import resample, resample_labels
from client.data.grids import overlap_share, respaced_grid, same_grid, scanner_box, sub_grid, to_ras
from client.data.lesion_sampling import number_lesions
from client.data.quality import classes_of
from client.data.subtraction import subtract_matched
from client.data.volume import Volume, read_image, read_volume
from common.errors import CaseReason, CaseRejected
from common.label_meanings import indices_within
from common.plan import PreprocessingSpec

MIN_OVERLAP_SHARE = 0.1
"""Below this share of the smaller scanner-space box, two files do not show the same body."""

_LABEL = "label"
_BRAIN_MASK = "brain mask"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every case of a dataset is prepared; all of it enters the cache's key.

    Attributes:
        sequences: what the plan reads, in channel order; the first sets the native grid.
        spec: spacing, crop, and whether a lacking subtraction is made.
        rule: how label values become classes; None at inference, where no label is read.
        mask_command: external skull-stripper for images that are neither masked nor stripped.
        optional_sequences: those of the sequences that a case may lack; not the first.
        tumour: the plan's classes that count as tumour, () for all: what the lesions of a label are made of.
    """

    sequences: tuple[str, ...]
    spec: PreprocessingSpec
    rule: LabelRule | None
    mask_command: tuple[str, ...] | None = None
    optional_sequences: tuple[str, ...] = ()
    tumour: frozenset[int] = frozenset()

    @property
    def tumour_indices(self) -> frozenset[int]:
        """Label indices that count as tumour, () for all."""
        return indices_within(self.rule.meanings, self.tumour) if self.rule is not None else frozenset()

    def channels_of(self, case: Case) -> Channels:
        """Where the channels of a case come from."""
        return find_channels(
            case.sequences.keys(), self.sequences, self.optional_sequences, self.spec.make_subtraction
        )


def prepare(case: Case, recipe: Recipe) -> PreparedCase:
    """Prepare one case in memory.

    Returns:
        The arrays, in memory. A voxel of the brain that a sequence's field of view misses holds 0, its mean; so
        does every voxel of an optional sequence that the case lacks.

    Raises:
        CaseRejected: with the reason of whatever is wrong first.
    """
    sequences, rule = recipe.sequences, recipe.rule
    files = required_files(case, recipe)
    sources = recipe.channels_of(case)
    native = read_image(files[sequences[0]], case.exam)
    images = {sequences[0]: _stripped_to_zero(_ras(native))}
    for name in sources.read[1:]:
        volume = _aligned(read_image(files[name], case.exam), native.grid)
        images[name] = _stripped_to_zero(_ras(volume))
    _require_one_body(case, images)
    label = _read_label(case, files, rule, native) if rule is not None else None
    first = images[sequences[0]].grid
    mask = _find_brain(case, files, recipe, tuple(images.values()))
    grid = _target_grid(mask, first, recipe.spec)
    brain = resample(mask, first, grid) >= MASK_THRESHOLD
    if not brain.any():
        raise CaseRejected(CaseReason.NO_BRAIN_MASK, case.exam, "the brain is smaller than a voxel of the plan")
    channels = [_channel(name, images, sources, grid, brain, case) for name in sequences]
    tumour = recipe.tumour_indices
    classes = resample_labels(label.values, label.grid, grid, tumour) if label is not None else None
    lesion_voxels = np.argwhere(classes if classes is not None else np.zeros((0, 0, 0))).astype(np.int32)
    return PreparedCase(
        patient=case.patient,
        exam=case.exam,
        metadata=case.metadata,
        image=np.stack(channels),
        label=classes,
        mask=brain.astype(np.uint8),
        grid=grid,
        native=native.grid,
        reference=_reference(label, native.grid, tumour) if label is not None else None,
        lesion_voxels=lesion_voxels,
        lesion_numbers=number_lesions(classes, lesion_voxels, tumour) if classes is not None else None,
        meanings=rule.meanings if rule is not None else (),
        absent_channels=tuple(sequences.index(name) for name in sources.absent),
    )


def required_files(case: Case, recipe: Recipe) -> Mapping[str, Path]:
    """The files that preparation reads: by sequence, "label" (with a rule) and "brain mask" (where given).

    Images that a subtraction is made of are among them, be they channels or not.

    Raises:
        CaseRejected: MISSING_SEQUENCE or MISSING_LABEL.
    """
    found = recipe.channels_of(case)
    if found.lacking:
        required = [name for name in recipe.sequences if name not in recipe.optional_sequences]
        what = f"no {' and no '.join(found.lacking)}"
        if SUBTRACTION in found.lacking and recipe.spec.make_subtraction:
            what += f", nor both {POST_CONTRAST} and {PRE_CONTRAST} to make it of"
        detail = f"{what}; the case has {sorted(case.sequences)}, the plan needs {required}"
        raise CaseRejected(CaseReason.MISSING_SEQUENCE, case.exam, detail)
    files = {name: case.sequences[name] for name in found.read}
    if recipe.rule is not None:
        if case.label is None:
            raise CaseRejected(CaseReason.MISSING_LABEL, case.exam, "no label file; add it or leave the case out")
        files[_LABEL] = case.label
    if case.brain_mask is not None:
        files[_BRAIN_MASK] = case.brain_mask
    return files


def _ras(volume: Volume) -> Volume:
    return Volume(*to_ras(volume.values, volume.grid))


def _aligned(volume: Volume, grid: Grid) -> Volume:
    """The volume on exactly `grid` where the two differ by rounding or a fraction of a voxel only."""
    return Volume(volume.values, grid) if same_grid(grid, volume.grid) else volume


def _stripped_to_zero(volume: Volume) -> Volume:
    """Shift a stripped image whose background is another constant, so that the background is 0."""
    background = own_background(volume.values)
    return Volume(volume.values - np.float32(background), volume.grid) if background else volume


def _require_one_body(case: Case, images: Mapping[str, Volume]) -> None:
    first, *others = images
    body = scanner_box(images[first].values != 0, images[first].grid)
    for name in others:
        share = overlap_share(body, scanner_box(images[name].values != 0, images[name].grid))
        if share < MIN_OVERLAP_SHARE:
            detail = (
                f"{name} and {first} share {share:.0%} of their space ({case.sequences[name]}); "
                "register them to each other first"
            )
            raise CaseRejected(CaseReason.SEQUENCE_MISMATCH, case.exam, detail)


def _read_label(case: Case, files: Mapping[str, Path], rule: LabelRule, native: Volume) -> Volume:
    """The label as classes on its own file's grid, which is the native one where they nearly agree."""
    path = files[_LABEL]
    raw = read_volume(path, case.exam, CaseReason.MISSING_LABEL)
    label = _aligned(Volume(classes_of(raw.values, rule, case.exam, path), raw.grid), native.grid)
    body = scanner_box(native.values != 0, native.grid)
    share = overlap_share(body, scanner_box(raw.values != 0, label.grid))
    if share < MIN_OVERLAP_SHARE:
        detail = f"{path} and the image share {share:.0%} of their space; draw the label on this image"
        raise CaseRejected(CaseReason.LABEL_MISMATCH, case.exam, detail)
    return label


def _find_brain(case: Case, files: Mapping[str, Path], recipe: Recipe, images: tuple[Volume, ...]) -> Mask:
    """The brain on the first image's RAS grid."""
    first = images[0].grid
    if _BRAIN_MASK in files:
        return _mask_onto(read_mask(files[_BRAIN_MASK], case.exam), first, case)
    for image in images:
        if own_background(image.values) is not None:
            mask = stripped_mask(image.values != 0, image.grid)
            if mask is not None:
                return _mask_onto(Volume(mask, image.grid), first, case)
    source = files[recipe.sequences[0]]
    if recipe.mask_command is not None:
        return _mask_onto(mask_by_command(recipe.mask_command, source, case.exam), first, case)
    detail = f"{source} is not skull-stripped and has no mask; {HOW_TO_GIVE_A_MASK}"
    raise CaseRejected(CaseReason.NO_BRAIN_MASK, case.exam, detail)


def _mask_onto(mask: Volume, first: Grid, case: Case) -> Mask:
    turned = _aligned(_ras(mask), first)
    brain = resample(turned.values, turned.grid, first) >= MASK_THRESHOLD
    if not brain.any():
        raise CaseRejected(CaseReason.NO_BRAIN_MASK, case.exam, "the brain mask lies beside the image; correct it")
    return brain


def _target_grid(mask: Mask, grid: Grid, spec: PreprocessingSpec) -> Grid:
    """The plan's spacing around the brain and its margin, within the field of view."""
    start, stop = [], []
    for axis, edge_mm in enumerate(grid.spacing_mm):
        hits = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(spec.crop_margin_mm / edge_mm))
        start.append(max(0, int(hits[0]) - margin))
        stop.append(min(grid.shape[axis], int(hits[-1]) + 1 + margin))
    shape = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    return respaced_grid(sub_grid(grid, (start[0], start[1], start[2]), shape), spec.spacing_mm)


def _channel(
    name: str, images: Mapping[str, Volume], sources: Channels, grid: Grid, brain: Mask, case: Case
) -> npt.NDArray[np.float32]:
    """One input channel (X, Y, Z): read, made or 0."""

    def read(sequence: str) -> npt.NDArray[np.float32]:
        image = images[sequence]
        return resample(image.values, image.grid, grid, outside=np.nan, smooth=True)

    if name in sources.absent:
        return np.zeros(brain.shape, dtype=np.float32)
    if name in sources.made:
        values = subtract_matched(read(POST_CONTRAST), read(PRE_CONTRAST), brain, case.exam)
        return _normalised(values, brain, case, name, f"made of {POST_CONTRAST} and {PRE_CONTRAST}")
    return _normalised(read(name), brain, case, name, str(case.sequences[name]))


def _normalised(
    values: npt.NDArray[np.float32], brain: Mask, case: Case, sequence: str, origin: str
) -> npt.NDArray[np.float32]:
    """Mean 0 and standard deviation 1 over the brain voxels that the sequence covers, 0 elsewhere."""
    seen = brain & np.isfinite(values)
    if not seen.any():
        detail = f"{sequence} does not reach the brain; register the sequences to each other first"
        raise CaseRejected(CaseReason.SEQUENCE_MISMATCH, case.exam, detail)
    inside = values[seen].astype(np.float64)
    spread = float(inside.std())
    if spread <= 1e-6 * abs(float(inside.mean())):
        raise CaseRejected(
            CaseReason.CONSTANT_IMAGE,
            case.exam,
            f"{sequence} ({origin}) is constant in the brain",
        )
    result = np.zeros(values.shape, dtype=np.float32)
    result[seen] = (inside - inside.mean()) / spread
    return result


def _reference(label: Volume, native: Grid, tumour: frozenset[int]) -> npt.NDArray[np.uint8]:
    """The label on the image's file grid, untouched where it was drawn there."""
    if label.grid is native:
        return np.ascontiguousarray(cast(npt.NDArray[np.uint8], label.values))
    return resample_labels(label.values, label.grid, native, tumour)
