"""Scores count what the plan calls tumour, in prediction and reference alike."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from client.data.case import Grid
from client.evaluation import judge_mask, score_mask
from client.tumour import tumour_of_label, tumour_of_mask, tumour_of_reference
from common.plan import Plan
from tests.client.prepared import case_of

LABEL = np.zeros((8, 8, 8), np.uint8)
LABEL[1:3, 1:3, 1:3] = 1
LABEL[5:7, 5:7, 5:7] = 2
CASE = case_of("a", np.zeros((1, 8, 8, 8), np.float32), LABEL)
BINARY = ((0, 2), (1,), (2,), (3,), (1, 3))


def plan(*tumour: str) -> Plan:
    values: dict[str, Any] = {
        "name": "p",
        "sequences": ["t1c"],
        "labels": ["netc", "snfh", "et"],
        "sites": ["a"],
        "evaluation": {"tumour": tumour},
    }
    return Plan.model_validate(values, strict=False)


def test_oedema_is_no_lesion_where_the_plan_says_so() -> None:
    everything, core = (score_mask(LABEL, CASE, "a", plan(*tumour)) for tumour in ((), ("netc", "et")))
    assert (len(everything.lesions), everything.predicted_lesions) == (2, 2)
    assert (len(core.lesions), core.predicted_lesions, core.dice) == (1, 1, 1.0)


def test_lesions_are_scored_one_by_one_at_the_spacing_of_the_header() -> None:
    """By the BraTS-METS rule: lesion 1 is drawn a voxel of 2 mm too far, lesion 2 is missed."""
    grid = Grid((8, 8, 8), np.diag([1.0, 1.0, 2.0, 1.0]))
    case = replace(CASE, native=grid, grid=grid)
    scores = judge_mask(np.roll(np.where(LABEL == 1, LABEL, 0), 1, axis=2).astype(np.uint8), case, "a", plan())
    assert scores.lesionwise_dice == pytest.approx((0.5 + 0.0) / 2)
    assert scores.lesionwise_hd95_mm == pytest.approx((2.0 + 374.0) / 2)


def test_predicted_oedema_is_no_false_positive() -> None:
    reference = replace(CASE, reference=np.where(LABEL == 1, LABEL, 0).astype(np.uint8))
    assert score_mask(LABEL, reference, "a", plan()).false_positives == 1
    assert score_mask(LABEL, reference, "a", plan("netc", "et")).false_positives == 0


def test_a_set_counts_when_all_its_members_do() -> None:
    label = np.where(LABEL == 1, 4, 0).astype(np.uint8)
    binary = replace(CASE, label=label, reference=label, meanings=BINARY)
    for found in (tumour_of_reference(binary, plan("netc", "et")), tumour_of_label(binary, plan("netc", "et"))):
        assert found is not None and np.array_equal(found, LABEL == 1)
    whole = tumour_of_reference(binary, plan("netc"))
    assert whole is not None and not whole.any()
    assert np.array_equal(tumour_of_mask(LABEL, plan("netc", "et")), LABEL == 1)


def test_a_case_without_a_reference_shows_nothing() -> None:
    assert tumour_of_reference(replace(CASE, reference=None), plan()) is None


def test_tumour_must_be_of_the_plans_labels() -> None:
    assert plan("netc", "et").tumour_classes == {1, 3}
    assert plan().tumour_classes == {1, 2, 3}
    with pytest.raises(ValidationError, match=r"evaluation.tumour names \['core'\], the labels are"):
        plan("core")
    with pytest.raises(ValidationError, match="holds a name twice"):
        plan("et", "et")
