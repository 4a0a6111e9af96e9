"""What a plan may say of sequences that cases lack, and what it says to people."""

from typing import Any

import pytest
from pydantic import ValidationError

from common.plan import Plan
from common.plan_words import what_runs

UNION: dict[str, Any] = {
    "name": "union",
    "sites": ("north",),
    "sequences": ("t1c", "flair", "subtraction"),
    "optional_sequences": ("subtraction", "flair"),
    "training": {"modality_dropout": 0.25},
    "preprocessing": {"make_subtraction": True},
}


def test_channels_follow_the_plans_order_and_some_sequence_is_required() -> None:
    plan = Plan.model_validate(UNION)
    assert (plan.required_sequences, plan.optional_channels, plan.in_channels) == (("t1c",), (1, 2), 3)
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan(name="n", sites=("a",), sequences=("t1c", "flair")).optional_channels == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optional_sequences": ("t2",)}, r"\['t2'\], which sequences lacks: add them there"),
        ({"optional_sequences": ("flair", "flair")}, "optional_sequences holds a name twice"),
        (
            {"optional_sequences": ("t1c",)},
            "'t1c', the first of sequences, .*: put a sequence that every case has",
        ),
        ({"optional_sequences": ()}, "modality_dropout = 0.25 drops optional sequences and there are none"),
        ({"training": {"modality_dropout": 1.5}}, "less than 1"),
        ({"sequences": ("t1c", "flair"), "optional_sequences": ("flair",)}, "add 'subtraction' to sequences"),
        (
            {"sequences": ("subtraction", "flair"), "optional_sequences": ("flair",)},
            "no grid of its own when it is made: put another first",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Plan.model_validate({**UNION, **change})


def test_people_read_what_their_cases_need() -> None:
    words = "\n".join(what_runs(Plan.model_validate(UNION)))
    assert "cases need t1c and a segmentation of tumour; subtraction, flair where a case has it; " in words
    assert "subtraction made of t1 and t1c where a case lacks it; resampled" in words
