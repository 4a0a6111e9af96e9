"""Segment one new case with a released model: the very preparation and prediction that trained and judged it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from client.data.brain_mask import HOW_TO_GIVE_A_MASK
from client.data.case import Case, PreparedCase
from client.data.preprocessing import Recipe, prepare
from client.data.volume import read_image
from client.ensemble import Member, predict_together
from client.ensemble_checks import check_releases, prepared_alike, read_by, unseen_in_words, unseen_share
from client.given_images import check_images, in_words
from client.lesion_picture import lesion_picture
from client.lesion_report import Lesion, lesions_csv, measure_lesions
from client.nifti_output import save_on_grid_of
from client.output_paths import check_outputs
from client.postprocessing import Removed
from client.prediction import finished_mask
from common.durable import write_durably
from common.errors import CaseReason, CaseRejected, ModelRefused
from common.model.weights import trained_network
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
    """What was found, and what was not.

    Attributes:
        lesions: largest first.
        outside_brain, too_small: what the plan's clean-up took away.
        remark: which sequences were made or done without, and which model of an ensemble does not see all of the
            brain; empty when there is nothing to say.
    """

    lesions: tuple[Lesion, ...]
    outside_brain: Removed
    too_small: Removed
    remark: str

    @property
    def total_volume_mm3(self) -> float:
        """Volume of all lesions together."""
        return sum(lesion.volume_mm3 for lesion in self.lesions)


def segment(
    release: Release,
    images: Mapping[str, Path],
    out: Path,
    *,
    also: Sequence[Release] = (),
    probability: Path | None = None,
    disagreement: Path | None = None,
    report: Path | None = None,
    picture: Path | None = None,
    brain_mask: Path | None = None,
    brain_mask_command: tuple[str, ...] | None = None,
    device: torch.device,
    say: Callable[[str], None] = lambda _: None,
) -> SegmentationSummary:
    """Segment a case; the mask lies on the grid of the image of the plan's first sequence.

    Args:
        release: a verified model.
        images: file by sequence name: the sequences that the models read, optional ones as far as there are any;
            and t1 for a plan that makes the subtraction of it.
        out: uint8 class indices, 0 background, on the first image's own grid, affine and header codes.
        also: further models of the same labels, averaged with the first, whose plan sets grid, threshold and
            clean-up.
        probability: float32 probability, one volume a foreground class; as predicted, before any clean-up.
        disagreement: float32 standard deviation of the foreground's probability over the models, 0 to 0.5.
        report: CSV of the lesions.
        picture: PNG of the largest lesions.
        brain_mask: a mask for images with a skull.
        brain_mask_command: or a program that makes one, with {image} and {mask} in its arguments.
        device: where the networks run.
        say: told what is being done, for a progress display.

    Raises:
        ModelRefused: images that do not fit a model or each other, or cannot be read; models that do not fit
            each other.
        OutputError: an output that cannot or must not be written.
    """
    releases = (release, *also)
    check_releases(releases, images, disagreement)
    shares = [read_by(one, images) if also else images for one in releases]
    remarks = [
        in_words(check_images(one.plan, share, brain_mask), one.plan)
        for one, share in zip(releases, shares, strict=True)
    ]
    sources = [*images.values(), brain_mask]
    check_outputs([out, probability, disagreement], [report], [picture], sources)
    say("reading and preparing the images")
    case = _prepare(release, shares[0], brain_mask, brain_mask_command)

    def members() -> Iterator[Member]:
        for number, (one, share) in enumerate(zip(releases, shares, strict=True), start=1):
            own = case
            if not prepared_alike(one.plan, release.plan):
                own = _prepare(one, share, brain_mask, brain_mask_command)
                remarks.append(unseen_in_words(number, one.plan, unseen_share(case, own)))
            say(f"predicting on {device}" + (f", model {number} of {len(releases)}" if also else ""))
            yield Member(_network(one, device), one.plan, own)

    found = predict_together(members(), case.native, device, own_masks=bool(also))
    cleaned = finished_mask(found.probabilities, case, release.plan)
    say("measuring and writing")
    lesions = measure_lesions(cleaned.mask, found.probabilities, case.native, release.plan.labels, found.masks)
    grid_source = images[release.plan.sequences[0]]
    if report is not None:
        write_durably(report, lesions_csv(lesions, len(found.masks)).encode())
    if picture is not None:
        spread = found.disagreement if also else None
        write_durably(picture, lesion_picture(read_image(grid_source, case.exam), cleaned.mask, lesions, spread))
    if probability is not None:
        several = len(found.probabilities) > 1
        volumes = np.moveaxis(found.probabilities, 0, -1) if several else found.probabilities[0]
        save_on_grid_of(grid_source, volumes, probability)
    if disagreement is not None:
        save_on_grid_of(grid_source, found.disagreement, disagreement)
    save_on_grid_of(grid_source, cleaned.mask, out)
    remark = "; ".join(sorted({said for said in remarks if said}))
    return SegmentationSummary(lesions, cleaned.outside_brain, cleaned.too_small, remark)


def _network(release: Release, device: torch.device) -> torch.nn.Module:
    return trained_network(release.plan, release.weights).to(device).eval()


def _prepare(
    release: Release, images: Mapping[str, Path], brain_mask: Path | None, command: tuple[str, ...] | None
) -> PreparedCase:
    plan = release.plan
    name = images[plan.sequences[0]].name
    case = Case(patient=name, exam=name, sequences=images, brain_mask=brain_mask)
    try:
        return prepare(case, Recipe(plan.sequences, plan.preprocessing, None, command, plan.optional_sequences))
    except CaseRejected as error:
        detail = error.detail.replace(HOW_TO_GIVE_A_MASK, _HOW_TO_GIVE_A_MASK_HERE)
        detail = detail.replace("brain_mask_command", "--brain-mask-command")
        raise ModelRefused(detail + _ADVICE.get(error.reason, "")) from None
