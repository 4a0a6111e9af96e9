"""Splits by patient: shares, stability, and the two rules for small federations."""

import pytest

from client.data.splits import patient_hash, role_of, split_site, split_sites
from common.plan import SplitSpec

SPEC = SplitSpec(test=0.2, validation=0.1)


def patients_with(role: str, count: int, start: int = 0) -> list[str]:
    named = (f"p{number:04d}" for number in range(start, start + 2000))
    return [name for name in named if role_of(name, SPEC) == role][:count]


def test_shares_are_those_of_the_plan() -> None:
    names = [f"{number:06d}" for number in range(20_000)]
    roles = [role_of(name, SPEC) for name in names]
    assert roles.count("test") / len(names) == pytest.approx(0.2, abs=0.01)
    assert roles.count("validation") / len(names) == pytest.approx(0.1, abs=0.01)
    assert all(0.0 <= patient_hash(name, "fedmets") < 1.0 for name in names)


def test_a_known_hash() -> None:
    # sha256("fedmets100101") begins with these 8 bytes; the value must be the same on every machine, for ever
    assert patient_hash("100101", "fedmets") == float((int(FIRST_BYTES, 16) >> 11) / 2**53)


FIRST_BYTES = "bb15e9710bb44125"


def test_nobody_moves_when_cases_are_added_and_order_does_not_matter() -> None:
    few = [f"p{number}" for number in range(40)]
    many = [f"p{number}" for number in range(400)]
    before = split_sites({"a": few, "b": ["x1", "x2", "x3"]}, SPEC)
    after = split_sites({"b": ["x3", "x1", "x2", "x1"], "a": reversed(many)}, SPEC)
    assert before.notes == after.notes == ()
    assert before.roles["b"] == after.roles["b"]
    assert all(after.roles["a"][name] == role for name, role in before.roles["a"].items())


def test_another_salt_is_another_split() -> None:
    names = [f"p{number}" for number in range(100)]
    first, second = (
        split_sites({"a": names}, SplitSpec(test=0.2, validation=0.1, salt=salt)).roles["a"] for salt in ("x", "y")
    )
    assert first != second


def test_site_without_training_patient_keeps_its_smallest_hash() -> None:
    tests, others = patients_with("test", 3), patients_with("train", 5)
    split = split_sites({"small": tests, "big": others}, SPEC)
    smallest = min(tests, key=lambda name: patient_hash(name, SPEC.salt))
    assert split.patients("small", "train") == (smallest,)
    assert len(split.patients("small", "test")) == 2
    assert len(split.notes) == 1
    assert "small" in split.notes[0] and smallest in split.notes[0]


def test_largest_site_gives_the_only_test_patient() -> None:
    names = patients_with("train", 9)
    split = split_sites({"a": names[:2], "b": names[2:6], "c": names[6:]}, SPEC)
    moved = min(names[2:6], key=lambda name: patient_hash(name, SPEC.salt))
    assert split.patients("b", "test") == (moved,)
    assert split.patients("a", "test") == split.patients("c", "test") == ()
    assert "site b" in split.notes[0]


def test_a_rescued_training_patient_is_not_taken_again() -> None:
    tests, trains = patients_with("test", 1), patients_with("train", 2)
    split = split_sites({"one": tests, "two": trains}, SPEC)
    assert split.patients("one", "train") == tuple(tests)
    assert len(split.patients("two", "test")) == 1
    assert len(split.notes) == 2


def test_when_nobody_can_spare_a_patient_it_is_said() -> None:
    first, second = patients_with("train", 2)
    split = split_sites({"a": [first], "b": [second], "empty": []}, SPEC)
    assert split.roles == {"a": {first: "train"}, "b": {second: "train"}, "empty": {}}
    assert "null" in split.notes[0]


def test_no_test_share_means_no_test_patient() -> None:
    split = split_sites({"a": [f"p{number}" for number in range(50)]}, SplitSpec(test=0.0, validation=0.1))
    assert split.patients("a", "test") == ()
    assert split.notes == ()


def test_a_site_alone_splits_as_the_federation_does_while_anybody_tests() -> None:
    sites = {"a": patients_with("test", 3), "b": [f"p{number}" for number in range(30)], "c": []}
    together = split_sites(sites, SPEC)
    assert {name: split_site(name, own, SPEC).roles[name] for name, own in sites.items()} == together.roles
    assert len(split_site("a", sites["a"], SPEC).notes) == 1
    nobody = patients_with("train", 4)
    assert split_site("a", nobody, SPEC).patients("a", "test") == ()  # rule 2 is the federation's
    assert split_sites({"a": nobody}, SPEC).patients("a", "test") != ()
