"""Segment one new case with a released model: the very preparation and prediction that trained and judged it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from client.data.brain_mask import HOW_TO_GIVE_A_MASK
from client.data.case import Case, PreparedCase
from client.data.geometry import to_native
from client.data.preprocessing import Recipe, prepare
from client.inference import predict
from client.lesion_report import Lesion, lesions_csv, measure_lesions
from client.nifti_output import save_on_grid_of
from common.durable import write_durably
from common.errors import CaseReason, CaseRejected, ModelRefused, OutputError
from common.model.build import build_model
from common.model.weights import load_weights
from common.plan import Plan
from common.release import Release

_HOW_TO_GIVE_A_MASK_HERE = (
    "give --brain-mask PATH, or --brain-mask-command 'mri_synthstrip -i {image} -m {mask}', "
    "or strip the images beforehand"
)

_ADVICE = {
    CaseReason.UNREADABLE_FILE: "; give a NIfTI image, .nii or .nii.gz",
    CaseReason.NOT_FINITE: "; export the image again",
    CaseReason.EMPTY_VOLUME: "; export the image again",
    CaseReason.CONSTANT_IMAGE: "; export the image again",
}


@dataclass(frozen=True, slots=True)
class SegmentationSummary:
    """What was found, largest lesion first."""

    lesions: tuple[Lesion, ...]

    @property
    def total_volume_mm3(self) -> float:
        """Volume of all lesions together."""
        return sum(lesion.volume_mm3 for lesion in self.lesions)


def segment(
    release: Release,
    images: Mapping[str, Path],
    out: Path,
    *,
    probability: Path | None = None,
    report: Path | None = None,
    brain_mask: Path | None = None,
    brain_mask_command: tuple[str, ...] | None = None,
    device: torch.device,
    say: Callable[[str], None] = lambda _: None,
) -> SegmentationSummary:
    """Segment a case; the mask lies on the grid of the image of the plan's first sequence.

    Args:
        release: a verified model.
        images: file by sequence name: exactly the plan's sequences.
        out: uint8 class indices, 0 background, on the first image's own grid, affine and header codes.
        probability: float32 probability, one volume a foreground class.
        report: CSV of the lesions.
        brain_mask: a mask for images with a skull.
        brain_mask_command: or a program that makes one, with {image} and {mask} in its arguments.
        device: where the network runs.
        say: told what is being done, for a progress display.

    Raises:
        ModelRefused: images that do not fit the model or each other, or cannot be read.
        OutputError: an output that cannot or must not be written.
    """
    _check_images(release, images, brain_mask)
    _check_outputs([out, probability, report], [*images.values(), brain_mask])
    say("reading and preparing the images")
    case = _prepare(release, images, brain_mask, brain_mask_command)
    say(f"predicting on {device}")
    probabilities = native_probabilities(_network(release, device), case, release.plan, device)
    mask = probability_to_mask(probabilities, release.plan.evaluation.threshold)
    say("measuring and writing")
    lesions = measure_lesions(mask, probabilities, case.native, release.plan.labels)
    grid_source = images[release.plan.sequences[0]]
    if report is not None:
        write_durably(report, lesions_csv(lesions).encode())
    if probability is not None:
        one_class = probabilities[0] if len(probabilities) == 1 else np.moveaxis(probabilities, 0, -1)
        save_on_grid_of(grid_source, one_class, probability)
    save_on_grid_of(grid_source, mask, out)
    return SegmentationSummary(lesions)


def native_probabilities(
    model: torch.nn.Module, case: PreparedCase, plan: Plan, device: torch.device
) -> npt.NDArray[np.float32]:
    """(K, X, Y, Z) foreground probabilities on the grid of the case's first image."""
    prepared = predict(model, case.image, case.mask, plan.evaluation, plan.training.patch_size, device)
    return np.stack([to_native(volume, case.grid, case.native) for volume in prepared])


def probability_to_mask(probabilities: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
    """The likeliest class of each voxel where it reaches the threshold, background elsewhere.

    Args:
        probabilities: (K, X, Y, Z) by foreground class.
        threshold: least probability of foreground; 0.5 itself counts at 0.5.

    Returns:
        (X, Y, Z) uint8, 0 background, k + 1 for class k. Of equal classes the first wins: (0.6, 0.6) is 1.
    """
    likeliest = probabilities.argmax(axis=0).astype(np.uint8)
    reached = probabilities.max(axis=0) >= threshold
    return np.where(reached, likeliest + np.uint8(1), np.uint8(0)).astype(np.uint8)


def _network(release: Release, device: torch.device) -> torch.nn.Module:
    plan = release.plan
    model = build_model(plan.model, plan.in_channels, plan.out_channels, plan.seed)
    load_weights(model, release.weights)
    return model.to(device).eval()


def _prepare(
    release: Release, images: Mapping[str, Path], brain_mask: Path | None, command: tuple[str, ...] | None
) -> PreparedCase:
    sequences = release.plan.sequences
    name = images[sequences[0]].name
    case = Case(patient=name, exam=name, sequences={key: images[key] for key in sequences}, brain_mask=brain_mask)
    try:
        return prepare(case, Recipe(sequences, release.plan.preprocessing, rule=None, mask_command=command))
    except CaseRejected as error:
        detail = error.detail.replace(HOW_TO_GIVE_A_MASK, _HOW_TO_GIVE_A_MASK_HERE)
        detail = detail.replace("brain_mask_command", "--brain-mask-command")
        raise ModelRefused(detail + _ADVICE.get(error.reason, "")) from None


def _check_images(release: Release, images: Mapping[str, Path], brain_mask: Path | None) -> None:
    wanted = release.plan.sequences
    reads = f"this model reads {', '.join(wanted)}"
    for sequence in wanted:
        if sequence not in images:
            raise ModelRefused(f"no image of sequence '{sequence}': {reads}; add --image {sequence}=PATH")
    for given, path in images.items():
        if given not in wanted:
            raise ModelRefused(f"sequence '{given}' ({path}) is one too many: {reads}; leave it out")
    for path in [*images.values(), *([brain_mask] if brain_mask else [])]:
        if not path.is_file():
            raise ModelRefused(f"{path}: no such image file; check the path")
    names = list(images)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if images[name].samefile(images[other]):
                raise ModelRefused(
                    f"{images[name]}: given both as {name} and as {other}; give each sequence's own"
                )


def _check_outputs(outputs: list[Path | None], inputs: list[Path | None]) -> None:
    """Refuse before the work what could not, or must not, be written after it."""
    taken: list[Path] = []
    *niftis, report = outputs
    for path in niftis:
        if path is not None and not path.name.endswith((".nii", ".nii.gz")):
            raise OutputError(f"{path}: output image must end in .nii or .nii.gz; rename it")
    for path in (given for given in [*niftis, report] if given is not None):
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent}: no such folder for the output {path.name}; create it first")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise OutputError(f"{path}: cannot be written; choose another place for the output")
        if any(given is not None and _same(path, given) for given in inputs):
            raise OutputError(f"{path}: is an input image and would be overwritten; choose another output")
        if any(_same(path, other) for other in taken):
            raise OutputError(f"{path}: named for two outputs; give each a file of its own")
        taken.append(path)


def _same(path: Path, other: Path) -> bool:
    """Whether two paths are one file, by way of links too."""
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
