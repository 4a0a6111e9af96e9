from itertools import product

import pytest

from common.statistics.suppression import suppress_overlapping, suppress_small


@pytest.mark.parametrize(
    ("patients", "hidden"),
    [
        ({"female": 9, "male": 3}, {"female", "male"}),
        ({"a": 20, "b": 12, "c": 6, "d": 2}, {"c", "d"}),
        ({"a": 20, "b": 12, "c": 6, "d": 2, "e": 1}, {"c", "d", "e"}),
        ({"a": 20, "b": 3, "c": 2}, {"b", "c"}),
        ({"a": 20, "b": 5}, set()),
        ({"a": 20, "b": 4, "c": 0}, {"a", "b"}),
        ({"a": 20, "c": 7, "b": 7, "d": 4}, {"b", "d"}),
        ({"a": 20}, set()),
        ({}, set()),
    ],
)
def test_by_hand(patients: dict[str, int], hidden: set[str]) -> None:
    assert suppress_small(patients).groups == hidden


def test_a_small_total_is_hidden_too() -> None:
    assert suppress_small({"a": 3, "b": 1}).total
    assert not suppress_small({"a": 3, "b": 2}).total
    assert not suppress_small({}).total


def test_no_small_number_follows_from_any_table() -> None:
    """Every table of four groups: what an onlooker can work out is the sum of the hidden ones, and no more."""
    for counts in product(range(8), repeat=4):
        table = dict(zip("abcd", counts, strict=True))
        hidden = suppress_small(table).groups
        if not hidden:
            assert all(count == 0 or count >= 5 for count in counts)
            continue
        rest = sum(table[name] for name in hidden)
        assert rest >= 5 or suppress_small(table).total
        assert len(hidden) >= 2 or suppress_small(table).total
        assert all(table[name] == 0 or table[name] >= 5 for name in set(table) - hidden)


def test_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="negative"):
        suppress_small({"a": -1})


@pytest.mark.parametrize(
    ("members", "hidden"),
    [
        ({"small": "abcdefg", "medium": "abcdef", "large": "ab"}, {"large", "medium"}),
        ({"small": "abcdefg", "medium": "abc", "large": "ab"}, {"small", "medium", "large"}),
        ({"small": "abcde", "medium": "", "large": "cdefg"}, set()),
        ({"small": "abcdefg", "medium": "", "large": "ab"}, {"small", "large"}),
        ({"small": "abc"}, {"small"}),
        ({}, set()),
    ],
)
def test_groups_that_share_patients_by_hand(members: dict[str, str], hidden: set[str]) -> None:
    assert suppress_overlapping({name: frozenset(own) for name, own in members.items()}) == hidden


def test_hidden_groups_that_share_patients_have_enough_of_them_together() -> None:
    """Every three groups out of six patients, with a minimum of three."""
    subsets = [frozenset(p for p in range(6) if bits >> p & 1) for bits in range(0, 64, 3)]
    for chosen in product(subsets, repeat=3):
        members = dict(zip("abc", chosen, strict=True))
        hidden = suppress_overlapping(members, 3)
        assert all(not members[name] or len(members[name]) >= 3 for name in set(members) - hidden)
        shown = [name for name in set(members) - hidden if members[name]]
        together = frozenset[int]().union(*(members[name] for name in hidden))
        assert not hidden or len(together) >= 3 or not shown


def test_overlapping_groups_need_a_minimum() -> None:
    with pytest.raises(ValueError, match="minimum 0"):
        suppress_overlapping({"a": frozenset("x")}, 0)
