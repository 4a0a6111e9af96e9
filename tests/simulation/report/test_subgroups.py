from typing import Any

from common.statistics.subgroup_table import subgroup_table
from simulation.report.subgroups import render_subgroups
from tests.common.statistics.cohort import Exam, cohort


def result(women: int, name: str = "north") -> dict[str, Any]:
    traits = {(name, f"p{n:03d}A"): Exam(sex="F" if n < women else "M") for n in range(20)}
    return {"subgroups": subgroup_table(cohort(0, 20, name), traits, seed=0)}


def test_groups_with_their_numbers() -> None:
    page = render_subgroups(result(8))
    found = next(row for row in result(8)["subgroups"]["fields"]["sex"] if row["group"] == "female")
    assert f"<b>{found['dice']['estimate']:.3f}</b>" in page
    assert "8<small>8 exams</small>" in page
    assert f"<td>{found['p_holm']:.3f}</td>" in page


def test_small_groups_are_said_to_be_suppressed() -> None:
    page = render_subgroups(result(3))
    assert "<small>Sex</small>female, male</th><td><small>suppressed</small></td><td>–</td>" in page
    assert "3<small>" not in page
    assert "17<small>" not in page


def test_what_is_unknown_of_everyone_is_left_out() -> None:
    assert "Primary cancer" not in render_subgroups(result(8))


def test_names_are_escaped_and_no_table_is_no_section() -> None:
    assert "&lt;b&gt;" in render_subgroups(result(8, "<b>"))
    assert render_subgroups({"subgroups": None}) == render_subgroups({}) == ""
