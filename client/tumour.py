"""What counts as tumour when a model is judged: `evaluation.tumour`, in masks and references alike."""

import numpy as np
import numpy.typing as npt

from client.data.case import PreparedCase
from client.data.label_table import where_any
from common.label_meanings import indices_within
from common.plan import Plan

Tumour = npt.NDArray[np.bool_]


def tumour_of_mask(mask: npt.NDArray[np.uint8], plan: Plan) -> Tumour:
    """Where a mask (X, Y, Z) of the plan's classes shows tumour."""
    return where_any(mask, plan.tumour_classes)


def tumour_of_reference(case: PreparedCase, plan: Plan) -> Tumour | None:
    """Where a case's reference, on its native grid, shows tumour; None for a case without one.

    A voxel that a site drew as one of several classes counts when all of them do.
    """
    if case.reference is None:
        return None
    return where_any(case.reference, indices_within(case.meanings, plan.tumour_classes))


def tumour_of_label(case: PreparedCase, plan: Plan) -> Tumour | None:
    """The same on the prepared grid."""
    if case.label is None:
        return None
    return where_any(case.label, indices_within(case.meanings, plan.tumour_classes))
