"""A look at every case of a site without preparing any: files, headers and sizes, then label values.

Ends when the time does and says how far it came: headers of all cases first, since they cost little, then labels.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from client.data.case import Case, Grid, LabelRule, Listing, Quarantined
from client.data.preprocessing import Recipe, required_files
from client.data.quality import classes_of, whole_labels
from client.data.volume import read_grid, read_volume
from common.errors import CaseReason, CaseRejected
from common.plan import Plan, PreprocessingSpec

_FLOAT32_BYTES = 4


@dataclass(slots=True)
class Survey:
    """What was seen of a site's cases; grows while the time lasts.

    Attributes:
        cases: as listed, bad ones not included.
        bad: cases that cannot be used, those of the listing first.
        looked_at: cases whose headers were read; `labels_read`, whose label was.
        complete: the time sufficed for all of it.
        spacings: cases by voxel edges in mm, rounded to 0.01.
        values: label files by the value they hold.
        prepared_bytes: upper bound of what the cases looked at take in the cache.
    """

    cases: tuple[Case, ...]
    bad: list[Quarantined]
    looked_at: int = 0
    labels_read: int = 0
    complete: bool = False
    spacings: Counter[tuple[float, ...]] = field(default_factory=Counter)
    values: Counter[int] = field(default_factory=Counter)
    prepared_bytes: int = 0

    @property
    def cache_bytes(self) -> int:
        """Upper bound for all cases, those not looked at counted as the mean of the others."""
        return self.prepared_bytes * len(self.cases) // max(self.looked_at, 1)


def survey_cases(
    listing: Listing, plan: Plan | None, rule: LabelRule | None, time_left: Callable[[], bool]
) -> Survey:
    """Look at the cases for as long as `time_left`, give or take one file.

    Args:
        listing: what an adapter found.
        plan: what the cases are needed for; None looks at every sequence there is.
        rule: what labels may hold; None where that is not known.
        time_left: asked before every case.
    """
    survey = Survey(listing.cases, list(listing.quarantined))
    sound = []
    for case in listing.cases:
        if not time_left():
            return survey
        survey.looked_at += 1
        try:
            _look_at_headers(case, plan, survey)
        except CaseRejected as fault:
            survey.bad.append(Quarantined(case.patient, case.exam, fault.reason, fault.detail))
        else:
            sound.append(case)
    for case in sound:
        if not time_left():
            return survey
        survey.labels_read += 1
        try:
            _look_at_label(case, rule, survey)
        except CaseRejected as fault:
            survey.bad.append(Quarantined(case.patient, case.exam, fault.reason, fault.detail))
    survey.complete = True
    return survey


def _look_at_headers(case: Case, plan: Plan | None, survey: Survey) -> None:
    files = _files(case, plan)
    grids = {name: read_grid(path, case.exam, _missing(name)) for name, path in files.items()}
    images = [grid for name, grid in grids.items() if name in case.sequences]
    survey.spacings[tuple(round(edge, 2) for edge in images[0].spacing_mm)] += 1
    channels = plan.in_channels if plan is not None else len(images)  # an absent sequence takes its place as zeros
    survey.prepared_bytes += prepared_bytes(images[0], channels, plan)


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
    reasons = {"label": CaseReason.MISSING_LABEL, "brain mask": CaseReason.NO_BRAIN_MASK}
    return reasons.get(name, CaseReason.MISSING_SEQUENCE)


def _look_at_label(case: Case, rule: LabelRule | None, survey: Survey) -> None:
    assert case.label is not None  # its header was read
    values = read_volume(case.label, case.exam, CaseReason.MISSING_LABEL).values
    whole = whole_labels(values, case.exam, case.label)
    if rule is not None:
        classes_of(whole, rule, case.exam, case.label)
    survey.values.update(np.flatnonzero(np.bincount(whole.ravel())).tolist())
