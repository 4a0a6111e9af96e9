"""Judge a model on a site's cases, on each case's own native grid.

A lesion that the plan's spacing is too coarse to hold counts as missed: predictions are brought back to the
grid the reference was drawn on before anything is compared.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from client.data.case import PreparedCase
from client.data.grids import header_spacing_mm
from client.disclosure import sums_that_leave
from client.exam_curve import curve_of_exam
from client.prediction import finished_mask, native_probabilities
from client.tumour import tumour_of_mask, tumour_of_reference
from common.metrics.exam_curve import ExamCurve
from common.metrics.lesionwise import score_lesionwise
from common.metrics.scores import CaseScores, score_case
from common.plan import Plan
from common.protocol import SUPPRESSED, IncomingScores


def predict_native(
    model: torch.nn.Module, case: PreparedCase, plan: Plan, device: torch.device
) -> npt.NDArray[np.uint8]:
    """Segment one prepared case: (X, Y, Z) uint8 class indices on the case's native grid."""
    return finished_mask(native_probabilities(model, case, plan, device), case, plan).mask


def score_cases(
    model: torch.nn.Module, cases: Sequence[PreparedCase], plan: Plan, site: str, device: torch.device
) -> tuple[CaseScores, ...]:
    """Score every case that has a reference; what counts as tumour, the plan says (`evaluation.tumour`)."""
    return tuple(
        score_mask(predict_native(model, case, plan, device), case, site, plan)
        for case in cases
        if case.reference is not None
    )


def score_cases_with_curves(
    model: torch.nn.Module, cases: Sequence[PreparedCase], plan: Plan, site: str, device: torch.device
) -> tuple[tuple[CaseScores, ExamCurve], ...]:
    """`score_cases`, and every case's part in a FROC curve from the same probabilities.

    For a simulation alone, where all cases lie in one place: no curve ever leaves a hospital.
    """
    judged = []
    for case in cases:
        if case.reference is not None:
            probabilities = native_probabilities(model, case, plan, device)
            scores = judge_mask(finished_mask(probabilities, case, plan).mask, case, site, plan)
            judged.append((scores, curve_of_exam(probabilities, case, site, plan)))
    return tuple(judged)


def score_mask(mask: npt.NDArray[np.uint8], case: PreparedCase, site: str, plan: Plan) -> CaseScores:
    """Score a mask on a case's native grid against the case's reference, which must be there."""
    tumour = tumour_of_reference(case, plan)
    assert tumour is not None
    volume_mm3 = case.native.voxel_volume_mm3
    return score_case(tumour_of_mask(mask, plan), tumour, volume_mm3, case.patient, case.exam, site)


def judge_mask(mask: npt.NDArray[np.uint8], case: PreparedCase, site: str, plan: Plan) -> CaseScores:
    """`score_mask` with the lesion-wise scores besides: for finished models.

    A network before its first round marks half of the brain, whose surface takes seconds: what validation in
    every round does not report is not computed there.
    """
    scores, tumour = score_mask(mask, case, site, plan), tumour_of_reference(case, plan)
    assert tumour is not None
    lesionwise = score_lesionwise(tumour_of_mask(mask, plan), tumour, header_spacing_mm(case.native))
    return replace(scores, lesionwise_dice=lesionwise.dice, lesionwise_hd95_mm=lesionwise.hd95_mm)


def validation_sums(
    model: torch.nn.Module, cases: Sequence[PreparedCase], plan: Plan, site: str, device: torch.device
) -> IncomingScores:
    """Sums over the validation cases, which are all that leaves the site of them.

    Of fewer patients than the plan's `evaluation.smallest_cell` nothing is computed: the time that it took would
    tell how many they are.
    """
    smallest_cell = plan.evaluation.smallest_cell
    if 0 < len({case.patient for case in cases if case.reference is not None}) < smallest_cell:
        return SUPPRESSED
    return sums_that_leave(score_cases(model, cases, plan, site, device), smallest_cell)
