"""`fedmets-site compare-exams`: two exams of a patient side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.trust_cli import AsJson
from common.errors import UserError
from common.notice import NOTICE

if TYPE_CHECKING:
    from client.exam_comparison import ExamComparison
    from common.metrics.exam_lesions import MeasuredLesion

_HEAD = ("change", "course", "first", "second", "mm3", "mm3", "mm", "mm")


def add_compare_command(app: typer.Typer) -> None:
    """Add compare-exams."""
    app.command("compare-exams")(compare_exams_command)


def compare_exams_command(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="Label file of the earlier exam.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Label file of the later exam, same grid.")],
    labels: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Label values that count as lesion, such as 1,3; default: all but 0."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What became of each lesion between two exams of a patient, and the response by RANO-BM.

    Both label files must lie on one grid: register the exams rigidly beforehand. Label values that stand for
    oedema must be left out with --labels. Diameters are the longest within a slice. A lesion has grown at 1.25
    times its volume or more and shrunk at 0.75 times or less, where the diameter of the ball of its volume
    changed by 0.5 mm at least. Up to five lesions of 10 mm or more are the targets; the first exam counts as
    baseline and nadir.

    Example:

    \b
        fedmets-site compare-exams january-seg.nii.gz march-seg.nii.gz --labels 1,3
    """
    from client.exam_comparison import compare_exams  # scipy and nibabel take a second to import

    comparison = compare_exams(first, second, _parse_labels(labels))
    print(json.dumps(_as_dict(comparison)) if as_json else _as_text(comparison))


def _parse_labels(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset()
    try:
        values = frozenset(int(word) for word in text.split(","))
    except ValueError:
        values = frozenset({0})
    if min(values) < 1:
        raise UserError(f"--labels {text!r}: give whole numbers above 0, separated by commas, such as 1,3")
    return values


def _as_dict(comparison: "ExamComparison") -> dict[str, Any]:
    targets = comparison.targets
    return {
        "schema": 1,
        "spacing_mm": list(comparison.grid.spacing_mm),
        "lesions": [
            {
                "change": str(change.change),
                "course": str(change.course),
                "first": [_lesion(comparison, lesion) for lesion in change.first],
                "second": [_lesion(comparison, lesion) for lesion in change.second],
                "volumes_mm3": list(change.volumes_mm3),
                "diameters_mm": list(change.diameters_mm),
            }
            for change in comparison.changes
        ],
        "rano_bm": {
            "targets": list(targets.targets),
            "baseline_mm": targets.baseline_mm,
            "current_mm": targets.current_mm,
            "new_lesions": targets.new_lesions,
            "largest_growth_mm": targets.largest_growth_mm,
            "response": str(targets.response),
        },
        "notice": NOTICE,
    }


def _lesion(comparison: "ExamComparison", lesion: "MeasuredLesion") -> dict[str, Any]:
    return {
        "number": lesion.number,
        "volume_mm3": lesion.volume_mm3,
        "longest_diameter_mm": lesion.diameter_mm,
        "centre_mm": list(comparison.centre_mm(lesion.centre)),
    }


def _as_text(comparison: "ExamComparison") -> str:
    rows: list[tuple[str, ...]] = [_HEAD]
    for change in comparison.changes:
        volumes = [f"{value:.1f}" for value in change.volumes_mm3]
        diameters = [f"{value:.1f}" for value in change.diameters_mm]
        names = ["+".join(str(one.number) for one in side) or "-" for side in (change.first, change.second)]
        rows.append((str(change.change), str(change.course), *names, *volumes, *diameters))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if len(rows) == 1:
        lines = ["no lesion in either exam"]
    return "\n".join([*lines, *_response(comparison)])


def _response(comparison: "ExamComparison") -> list[str]:
    targets = comparison.targets
    count = len(targets.targets)
    told = (
        f"RANO-BM: {targets.response}; {count} target lesion{'' if count == 1 else 's'}, sum of longest diameters "
        f"{targets.baseline_mm:.1f} to {targets.current_mm:.1f} mm, {targets.new_lesions} new"
    )
    by_sum = str(targets.response) == "progressive disease" and not targets.new_lesions
    note = "no single target lesion grew by 5 mm, which the published criteria ask for: let a reader decide"
    doubt = [note] if by_sum and targets.largest_growth_mm < 5.0 else []
    return [told, *doubt, f"by images alone, the first exam as baseline and nadir; {NOTICE}"]
