"""One exam's part in a FROC curve, from a network's probabilities.

What a threshold marks is what `finished_mask` would mark at that `evaluation.threshold`, cleaned up alike, so that
the curve at the plan's own threshold is the plan's own sensitivity and number of false positives.
"""

import numpy as np
import numpy.typing as npt

from client.data.case import PreparedCase
from client.postprocessing import clean, native_brain, shrunk, takes_lesions_away, widened
from client.prediction import probability_to_mask
from client.tumour import tumour_of_mask, tumour_of_reference
from common.metrics.auc import roc_auc
from common.metrics.exam_curve import ExamCurve, exam_curve
from common.metrics.froc import THRESHOLDS, ScanCounts, count_masks, count_scan
from common.metrics.overlap import Mask, content_box
from common.plan import Plan

Probabilities = npt.NDArray[np.float32]


def curve_of_exam(probabilities: Probabilities, case: PreparedCase, site: str, plan: Plan) -> ExamCurve:
    """Count lesions found and false positives of a case at every threshold of froc.THRESHOLDS.

    Args:
        probabilities: (K, X, Y, Z) by foreground class, on the case's native grid.
        case: with a reference.
        site: where the case lies.
        plan: what counts as tumour, and how masks are cleaned up. The voxel AUC is of the probabilities as they
            are, before any clean-up.
    """
    reference = tumour_of_reference(case, plan)
    assert reference is not None
    probability = tumour_probability(probabilities, plan)
    if takes_lesions_away(plan.postprocessing):
        counts = _count_cleaned(probabilities, reference, case, plan)
    else:
        counts = count_scan(probability, reference)
    auc = roc_auc(probability, reference)
    return exam_curve(counts, case.native.voxel_volume_mm3, auc, case.patient, case.exam, site)


def tumour_probability(probabilities: Probabilities, plan: Plan) -> Probabilities:
    """What is held against `evaluation.threshold` where the likeliest class counts as tumour, 0 elsewhere.

    p / (p + q) of the likeliest class of probability p beside the background's q, by the rule of
    `probability_to_mask`. Of a single class it is the class's own probability. Core 0.4, oedema 0.2 and so 0.4 for
    background give 0.5 where core counts as tumour; core 0.2 and oedema 0.4 give 0. A voxel without a number is
    marked at no threshold, and has 0.

    Args:
        probabilities: (K, X, Y, Z) by foreground class.
        plan: its `evaluation.tumour`.

    Returns:
        (X, Y, Z), 0 to 1.
    """
    likeliest = probabilities.argmax(axis=0).astype(np.uint8) + np.uint8(1)
    highest = probabilities.max(axis=0)
    others = probabilities.sum(axis=0) - highest
    beside_background = np.minimum(np.nan_to_num(highest / (1.0 - others)), np.float32(1.0))
    return np.where(tumour_of_mask(likeliest, plan), beside_background, np.float32(0.0))


def _count_cleaned(probabilities: Probabilities, reference: Mask, case: PreparedCase, plan: Plan) -> ScanCounts:
    """The finished tumour mask at every threshold, within the box that holds all of them and the reference.

    The brain is shrunk by its margin once: distances take longer than all the rest.
    """
    spec, spacing_mm = plan.postprocessing, case.native.spacing_mm
    content = content_box((probability_to_mask(probabilities, min(THRESHOLDS)) != 0) | reference)
    box = widened(content, reference.shape, spacing_mm, spec.brain_margin_mm)
    brain = native_brain(case, plan, case.native)
    inside = None if brain is None else shrunk(brain[box], spacing_mm, spec.brain_margin_mm)
    once = plan.model_copy(update={"postprocessing": spec.model_copy(update={"brain_margin_mm": 0.0})})
    masks = (probability_to_mask(probabilities[(slice(None), *box)], threshold) for threshold in THRESHOLDS)
    cleaned = (tumour_of_mask(clean(mask, case.native, once, inside).mask, plan) for mask in masks)
    return count_masks(cleaned, reference[box])
