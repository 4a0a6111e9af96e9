"""The section about groups of patients: what may be shown of each, and what must not."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.metrics.intervals import Interval
from simulation.report.markup import NONE, counted, escape, number, percent, rate, table, with_span

_FIELD_NAMES = {
    "site": "Hospital",
    "sex": "Sex",
    "age": "Age in years",
    "primary_cancer": "Primary cancer",
    "field_strength": "Field strength",
    "lesion_burden": "Lesions in the exam",
}
_HEAD = ("of the test patients", "patients", "Dice", "Lesion sensitivity", "False positives per scan", "p (Holm)")


def render_subgroups(result: Mapping[str, Any]) -> str:
    """The federated model's scores by group, a small group as suppressed; nothing when there was no such table."""
    found = result.get("subgroups")
    if not found or not any(found["fields"].values()):
        return ""
    rows = [
        row
        for field, groups in found["fields"].items()
        if _told(groups)
        for row in _rows(_FIELD_NAMES.get(field, field), groups)
    ]
    return _lead(found) + table(_HEAD, rows)


def _told(groups: Sequence[Mapping[str, Any]]) -> bool:
    """A field of which the dataset knows nothing is left out."""
    return any(row["group"] != "unknown" for row in groups)


def _rows(field: str, groups: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row a group, and one for all that are suppressed."""
    rows = [[_heading(field, row["group"]), *_cells(row)] for row in groups if not row["suppressed"]]
    hidden = [str(row["group"]) for row in groups if row["suppressed"]]
    if hidden:
        rows.append([_heading(field, ", ".join(hidden)), "<small>suppressed</small>", *[NONE] * 4])
    return rows


def _heading(field: str, group: str) -> str:
    return f"<small>{escape(field)}</small>{escape(group)}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['patients']}<small>{counted(row['cases'], 'exam')}</small>",
        with_span(_interval(row["dice"]), number),
        with_span(_interval(row["lesion_sensitivity"]), percent),
        with_span(_interval(row["fp_per_scan"]), rate),
        number(row["p_holm"]),
    ]


def _interval(values: Mapping[str, Any] | None) -> Interval:
    return Interval(**values) if values else Interval(None, None, None, 0)


def _lead(found: Mapping[str, Any]) -> str:
    tests = sum(row["p"] is not None for groups in found["fields"].values() for row in groups)
    tested = (
        f"p is of a Mann-Whitney test of patients' Dice, the group against all others, corrected by Holm for the "
        f"{counted(tests, 'test')} made here"
        if tests
        else "No two groups are large enough to be tested against each other"
    )
    return (
        f'<p class="lead">The federated model on groups of test patients, with 95&nbsp;% intervals over patients. '
        f"Groups of fewer than {found['minimum_patients']} patients are not shown, nor what would give them away. "
        f"{tested}. A group without a difference in so few patients is not a group without a difference.</p>"
    )
