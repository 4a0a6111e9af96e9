"""A look at every case of a site without preparing any, in three passes, each as far as the time reaches.

1. Every file of every case is opened, its header checked, and its size against it: this costs little, and comes
   first, so that what is said of all cases is true of all.
2. Labels are read.
3. Images are read whole, which takes most of the time by far.

Cases are taken in an order of which every beginning is spread evenly over them, always the same.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from client.data.brain_mask import read_mask
from client.data.case import Case, Grid, LabelRule, Listing, Quarantined
from client.data.preprocessing import Recipe, required_files
from client.data.quality import classes_of, whole_labels
from client.data.survey_pass import Pass, spread
from client.data.volume import read_grid, read_image, read_volume
from common.errors import CaseReason, CaseRejected
from common.plan import Plan, PreprocessingSpec

_FLOAT32_BYTES = 4
_HEADER_THREADS = 8  # they wait for the disk or the file server
_VOXEL_THREADS = min(4, len(os.sched_getaffinity(0)))  # zlib lets others run; each holds a volume in memory
_LABEL, _BRAIN_MASK = "label", "brain mask"
_IMAGES_S = 3.0  # of the time are kept for the images, or half of what is left where that is less


@dataclass(slots=True)
class Survey:
    """What was seen of a site's cases.

    Attributes:
        cases: as listed, bad ones not included.
        bad: cases that cannot be used, those of the listing first, then in the order of the cases.
        opened: cases all of whose files were opened.
        labels_read: of these, whose label was read.
        read_whole: of these, whose images were read too.
        complete: the time sufficed for all of it.
        spacings: cases by voxel edges in mm, rounded to 0.01.
        values: label files by the value they hold.
        prepared_bytes: upper bound of what the cases opened take in the cache.
    """

    cases: tuple[Case, ...]
    bad: list[Quarantined]
    opened: int = 0
    labels_read: int = 0
    read_whole: int = 0
    complete: bool = False
    spacings: Counter[tuple[float, ...]] = field(default_factory=Counter)
    values: Counter[int] = field(default_factory=Counter)
    prepared_bytes: int = 0

    @property
    def cache_bytes(self) -> int:
        """Upper bound for all cases, those not opened counted as the mean of the others."""
        return self.prepared_bytes * len(self.cases) // max(self.opened, 1)


def survey_cases(
    listing: Listing,
    plan: Plan | None,
    rule: LabelRule | None,
    left_s: Callable[[], float],
    tell: Callable[[str], None] = lambda _: None,
) -> Survey:
    """Look at the cases for as long as there is time, give or take the files under way.

    Args:
        listing: what an adapter found.
        plan: what the cases are needed for; None looks at every sequence there is.
        rule: what labels may hold; None where that is not known.
        left_s: asked before every case, and before every image; infinite for no limit.
        tell: hears how far it came, as often as `left_s` is asked, from several threads.
    """
    cases = [listing.cases[position] for position in spread(len(listing.cases))]
    survey = Survey(listing.cases, list(listing.quarantined))

    headers = Pass("headers", left_s, tell, _HEADER_THREADS).over(cases, lambda case: _headers(case, plan))
    survey.opened = len(headers.results) + len(headers.faults)
    sound = [case for case in cases if case.exam in headers.results]
    for spacing_mm, size_bytes in (headers.results[case.exam] for case in sound):
        survey.spacings[spacing_mm] += 1
        survey.prepared_bytes += size_bytes

    kept_s = min(left_s() / 2, _IMAGES_S)
    reading = Pass("labels", lambda: left_s() - kept_s, tell, _VOXEL_THREADS)
    labels = reading.over(sound, lambda case: _label_values(case, rule))
    survey.labels_read = len(labels.results) + len(labels.faults)
    survey.values.update(value for values in labels.results.values() for value in values)

    labelled = [case for case in sound if case.exam in labels.results]
    reading = Pass("images", left_s, tell, _VOXEL_THREADS)
    images = reading.over(labelled, lambda case: _read_images(case, plan, left_s))
    survey.read_whole = sum(images.results.values()) + len(images.faults)

    faults = {**headers.faults, **labels.faults, **images.faults}
    survey.bad += [_quarantined(case, faults[case.exam]) for case in listing.cases if case.exam in faults]
    done = (survey.opened, survey.labels_read, survey.read_whole)
    survey.complete = done == (len(cases), len(sound), len(labelled))
    return survey


def _quarantined(case: Case, fault: CaseRejected) -> Quarantined:
    return Quarantined(case.patient, case.exam, fault.reason, fault.detail)


def _headers(case: Case, plan: Plan | None) -> tuple[tuple[float, ...], int]:
    """Voxel edges of the first image in mm, and what the case will take in the cache."""
    files = _files(case, plan)
    grids = {name: read_grid(path, case.exam, _missing(name)) for name, path in files.items()}
    images = [grid for name, grid in grids.items() if name in case.sequences]
    channels = plan.in_channels if plan is not None else len(images)  # an absent sequence takes its place as zeros
    return tuple(round(edge, 2) for edge in images[0].spacing_mm), prepared_bytes(images[0], channels, plan)


def prepared_bytes(native: Grid, sequences: int, plan: Plan | None) -> int:
    """Upper bound of a prepared case in the cache: the whole field of view, though only the brain is kept.

    float32 a sequence and one byte each for label and mask on the plan's grid, one byte for the reference on the
    native grid. 240 x 240 x 155 voxels of 1 mm, two sequences, 1 mm: 8928000 * (2 * 4 + 2 + 1) = 98 MB.
    """
    spec = plan.preprocessing if plan is not None else PreprocessingSpec()
    voxels = float(np.prod(native.shape))
    prepared = voxels * native.voxel_volume_mm3 / float(np.prod(spec.spacing_mm))
    return round(prepared * (_FLOAT32_BYTES * sequences + 2) + voxels)


def _files(case: Case, plan: Plan | None) -> Mapping[str, Path]:
    """What will be read of a case; raises CaseRejected where something is not there."""
    rule = LabelRule({})  # it only says that a label is needed
    if plan is None:
        recipe = Recipe(tuple(case.sequences), PreprocessingSpec(), rule)
    else:
        recipe = Recipe(plan.sequences, plan.preprocessing, rule, optional_sequences=plan.optional_sequences)
    return required_files(case, recipe)


def _missing(name: str) -> CaseReason:
    reasons = {_LABEL: CaseReason.MISSING_LABEL, _BRAIN_MASK: CaseReason.NO_BRAIN_MASK}
    return reasons.get(name, CaseReason.MISSING_SEQUENCE)


def _label_values(case: Case, rule: LabelRule | None) -> list[int]:
    """The values that a case's label file holds."""
    assert case.label is not None  # its header was read
    values = read_volume(case.label, case.exam, CaseReason.MISSING_LABEL).values
    whole = whole_labels(values, case.exam, case.label)
    if rule is not None:
        classes_of(whole, rule, case.exam, case.label)
    found: list[int] = np.flatnonzero(np.bincount(whole.ravel())).tolist()
    return found


def _read_images(case: Case, plan: Plan | None, left_s: Callable[[], float]) -> bool:
    """Read what will be read of a case but its label; whether the time sufficed for all of it."""
    images = {name: path for name, path in _files(case, plan).items() if name != _LABEL}
    for name, path in images.items():
        if left_s() <= 0.0:
            return False
        if name == _BRAIN_MASK:
            read_mask(path, case.exam)
        else:
            read_image(path, case.exam)
    return True
