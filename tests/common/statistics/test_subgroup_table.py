from typing import Any

import pytest
from scipy import stats

from common.metrics.intervals import bootstrap_intervals
from common.statistics.rank_tests import holm
from common.statistics.subgroup_table import subgroup_table
from tests.common.statistics.cohort import Exam, case, cohort


def rows(table: dict[str, Any], field: str) -> dict[str, dict[str, Any]]:
    return {row["group"]: row for row in table["fields"][field]}


def women(last: int, patients: int = 60) -> dict[tuple[str, str], Exam]:
    return {("north", f"p{n:03d}A"): Exam(sex="F" if n < last else "M") for n in range(patients)}


def test_a_group_is_scored_as_a_cohort_of_its_own() -> None:
    import numpy as np

    scores = cohort(0)
    found = rows(subgroup_table(scores, women(25), seed=3), "sex")
    generator = np.random.default_rng(np.random.SeedSequence([3, 0x5B]))
    expected = bootstrap_intervals([scores[:25]], generator)
    assert (found["female"]["patients"], found["male"]["patients"]) == (25, 35)
    assert found["female"]["dice"] == expected["dice"].to_dict()
    assert found["female"]["lesion_sensitivity"] == expected["lesion_sensitivity"].to_dict()


def test_two_groups_are_one_test_and_all_tests_one_family() -> None:
    scores = cohort(1)
    table = subgroup_table(scores, women(30), seed=0)
    found = rows(table, "sex")
    first, second = ([s.dice for s in part] for part in (scores[:30], scores[30:]))
    assert found["female"]["p"] == pytest.approx(stats.mannwhitneyu(first, second).pvalue)
    assert found["male"]["p"] is None
    family = {
        (f, row["group"]): row["p"] for f, own in table["fields"].items() for row in own if row["p"] is not None
    }
    assert len(family) > 2
    assert found["female"]["p_holm"] == pytest.approx(holm(family)["sex", "female"])
    assert found["female"]["p_holm"] >= found["female"]["p"]


def test_small_groups_and_what_gives_them_away_are_not_shown() -> None:
    found = rows(subgroup_table(cohort(2), women(3), seed=0), "sex")
    for row in found.values():
        assert row["suppressed"]
        assert {value for key, value in row.items() if key not in ("group", "suppressed")} == {None}
    tiny = subgroup_table(cohort(2, 4), {}, seed=0)
    assert tiny["patients"] is None
    assert all(row["suppressed"] for own in tiny["fields"].values() for row in own)


def test_sensitivity_of_a_few_patients_lesions_is_not_shown() -> None:
    """Ten women, two of them with lesions: their Dice is a group's, their sensitivity would be two patients'."""
    scores = [case(f"p{n:03d}", lesions=2 if n < 2 or n >= 10 else 0, found=0) for n in range(30)]
    found = rows(subgroup_table(scores, women(10, 30), seed=0), "sex")
    assert found["female"]["lesion_sensitivity"] is None
    assert found["male"]["lesion_sensitivity"] is None  # else the total would give it
    assert found["female"]["dice"]["units"] == 10


def test_unknown_patients_are_in_no_test() -> None:
    scores = cohort(3, 40)
    known = {key: exam for key, exam in women(20, 40).items() if key[1] < "p030A"}
    found = rows(subgroup_table(scores, known, seed=0), "sex")
    dice = [s.dice for s in scores]
    assert found["unknown"]["patients"] == 10
    assert found["female"]["p"] == pytest.approx(stats.mannwhitneyu(dice[:20], dice[20:30]).pvalue)
