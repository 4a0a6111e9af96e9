"""Which sequences are read, made, absent or lacking, and what a site is told of it."""

import pytest

from client.data.channels import Channels, count_lacking, count_sequences, find_channels, what_lacks
from common.plan import PreprocessingSpec, Sequence, Terms

ALL: tuple[Sequence, ...] = ("t1c", "subtraction", "flair")
TERMS = Terms(
    name="union",
    sequences=ALL,
    optional_sequences=("flair",),
    preprocessing=PreprocessingSpec(make_subtraction=True),
)


@pytest.mark.parametrize(
    ("have", "optional", "make", "expected"),
    [
        ("t1c subtraction flair", "", False, Channels(read=ALL)),
        ("t1c subtraction flair t1", "", True, Channels(read=ALL)),  # a file is preferred to making
        ("flair t1c subtraction t2", "flair", False, Channels(read=ALL)),
        ("t1c t1 flair", "", True, Channels(read=("t1c", "flair", "t1"), made=("subtraction",))),
        ("t1c t1", "flair", True, Channels(("t1c", "t1"), made=("subtraction",), absent=("flair",))),
        ("t1c flair", "subtraction", True, Channels(("t1c", "flair"), absent=("subtraction",))),
        ("t1c t1 flair", "subtraction", False, Channels(("t1c", "flair"), absent=("subtraction",))),
        ("t1c flair", "", True, Channels(("t1c", "flair"), lacking=("subtraction",))),
        ("t1", "flair", True, Channels((), absent=("flair",), lacking=("t1c", "subtraction"))),
    ],
)
def test_where_channels_come_from(have: str, optional: str, make: bool, expected: Channels) -> None:
    assert find_channels(have.split(), ALL, tuple(optional.split()), make) == expected


def test_a_site_is_counted_and_told_what_it_lacks() -> None:
    cases = [{"t1c", "t1"}, {"t1c", "t1", "flair"}, {"t1c", "flair"}, {"t1c", "subtraction"}]
    assert count_sequences(cases, TERMS) == {"t1c": 4, "subtraction": 3, "flair": 2}
    lacking = count_lacking(cases, TERMS)
    assert lacking == {"subtraction": 1}
    told = what_lacks(lacking, len(cases), TERMS)
    assert told.startswith("1 of 4 cases lack subtraction, which the plan requires: add the files")
    assert told.endswith('or ask for a plan with optional_sequences = ["flair", "subtraction"]')


def test_what_only_another_plan_could_mend_is_said_for_sequences_that_may_become_optional_alone() -> None:
    terms = Terms(name="file", sequences=("t1c", "subtraction"))
    assert "make_subtraction = true" in what_lacks({"subtraction": 2}, 2, terms)
    assert "optional_sequences" not in what_lacks({"t1c": 2}, 2, terms)
