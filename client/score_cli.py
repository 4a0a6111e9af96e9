"""`fedmets-site score`: how good a segmentation is, by the field's measures."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.score_rule import Rule
from common.cli import FAILED, one_line
from common.durable import write_durably
from common.errors import DataError, UserError

if TYPE_CHECKING:
    from client.score_folders import ScoredFolders
    from client.scoring import ScoredPair

_LARGEST_LABEL = 65_535


def add_score_command(app: typer.Typer) -> None:
    """Add score."""
    app.command()(score)


def score(
    prediction: Annotated[Path, typer.Argument(metavar="PREDICTION", help="Label file, or a folder of them.")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Its reference, or a folder of them.")],
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LABELS", help="Such as tc=1,3; may be repeated. Default: any label, as one."),
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="FROM=TO", help="Relabel both files first, such as 4=3.")
    ] = None,
    rule: Annotated[Rule, typer.Option(help="Whose lesions and penalties.")] = Rule.BRATS_2023,
    csv: Annotated[Path | None, typer.Option(help="Also write every measure of every case here.")] = None,
    every: Annotated[bool, typer.Option("--all", help="With --json: every measure there is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")] = False,
) -> None:
    """Score a segmentation against its reference, or a folder against a folder, matched by file name.

    Spacing comes from the header; two files on different grids are refused.
    hd95 is the larger of the two directed 95th percentiles, weighted by surface area; hd95_pooled is the
    percentile of all distances together. Both in mm; the rule's penalty stands where one file is empty.
    Lesions of the size bands are those the rule counts.
    The result names cases of this hospital: do not send it on as it is.
    Exits with 1 when a pair of two folders could not be scored.

    Example:

    \b
        fedmets-site score prediction.nii.gz reference.nii.gz --region wt=1,2,3 --region tc=1,3 --map 4=3
        fedmets-site score predictions/ references/ --csv scores.csv
    """
    # numpy, scipy and nibabel take a second to import; `--help` and a mistyped option need not wait for them.
    from client.score_folders import score_folders
    from client.scoring import ALL_LABELS, Region, score_pair

    regions = [Region(name, labels) for name, labels in _parse_regions(region or [])]
    regions = regions or [Region(ALL_LABELS, frozenset())]
    mapping = _parse_maps(map_ or [])
    out = _Output(rule, csv, every, as_json)
    if prediction.is_dir() != reference.is_dir():
        raise DataError(f"{prediction} and {reference}: give two files or two folders")
    if prediction.is_dir():
        _tell_folders(score_folders(prediction, reference, regions, mapping, _say_on_terminal), out)
    else:
        _tell_pair(score_pair(prediction, reference, regions, mapping), reference, out)


@dataclass(frozen=True, slots=True)
class _Output:
    """How the result is wanted."""

    rule: Rule
    csv: Path | None
    every: bool
    as_json: bool

    def values(self, pair: "ScoredPair") -> dict[str, Any]:
        """{region: {measure: value}}."""
        from client.score_values import further, headline

        return {
            name: headline(scores, self.rule) | (further(scores, self.rule) if self.every else {})
            for name, scores in pair.regions.items()
        }


def _tell_pair(pair: "ScoredPair", reference: Path, out: _Output) -> None:
    from client.score_text import cases_csv, pair_text

    _warn_of_empty(pair, reference.name)
    if out.csv is not None:
        write_durably(out.csv, cases_csv({reference.name: pair}, out.rule).encode())
    print(json.dumps(out.values(pair)) if out.as_json else pair_text(pair, out.rule))


def _tell_folders(scored: "ScoredFolders", out: _Output) -> None:
    from client.score_text import cases_csv, folders_text

    for name, pair in scored.cases.items():
        _warn_of_empty(pair, name)
    for name, why in scored.failed.items():
        _say(f"not scored: {name}: {one_line(why)}")
    for names, where in ((scored.only_predicted, "reference"), (scored.only_reference, "prediction")):
        for name in names:
            _say(f"not scored: {name}: has no {where}")
    if out.csv is not None:
        write_durably(out.csv, cases_csv(scored.cases, out.rule).encode())
    print(json.dumps(_folders_json(scored, out)) if out.as_json else folders_text(scored, out.rule))
    if scored.failed:
        raise typer.Exit(FAILED)


def _folders_json(scored: "ScoredFolders", out: _Output) -> dict[str, Any]:
    from client.score_agreement import agreements_as_json
    from client.score_folders import summary_of

    pairs = list(scored.cases.values())
    summaries = {name: summary_of(pairs, name, out.rule) for name in (pairs[0].regions if pairs else ())}
    return {
        "schema": 1,
        "rule": out.rule.value,
        "cases": {name: out.values(pair) for name, pair in scored.cases.items()},
        "summary": {
            region: {measure: interval.to_dict() for measure, interval in summary.items()}
            for region, summary in summaries.items()
        },
        "volumes": agreements_as_json(scored.cases),
        "failed": dict(scored.failed),
        "only_predicted": list(scored.only_predicted),
        "only_reference": list(scored.only_reference),
    }


def _parse_regions(options: list[str]) -> list[tuple[str, frozenset[int]]]:
    regions: dict[str, frozenset[int]] = {}
    for option in options:
        name, equals, text = option.partition("=")
        labels = [_label(part) for part in text.split(",")]
        if not (name.strip() and equals) or None in labels or 0 in labels:
            raise UserError(f"--region {option}: not of the form NAME=LABELS; write, for example, --region tc=1,3")
        if name.strip() in regions:
            raise UserError(f"--region {option}: region '{name.strip()}' is given twice; leave one out")
        regions[name.strip()] = frozenset(label for label in labels if label is not None)
    return list(regions.items())


def _parse_maps(options: list[str]) -> dict[int, int]:
    mapping: dict[int, int] = {}
    for option in options:
        source, _, target = option.partition("=")
        old, new = _label(source), _label(target)
        if old is None or new is None:
            raise UserError(f"--map {option}: not of the form FROM=TO; write, for example, --map 4=3")
        if old in mapping:
            raise UserError(f"--map {option}: label {old} is given twice; leave one out")
        mapping[old] = new
    return mapping


def _label(text: str) -> int | None:
    """A label from 0 to 65535, else None."""
    digits = text.strip()
    return int(digits) if digits.isdecimal() and int(digits) <= _LARGEST_LABEL else None


def _warn_of_empty(pair: "ScoredPair", name: str) -> None:
    for region in pair.empty:
        _say(f"{name}: region {region} has no voxel in either file, which scores as perfect; check its labels")


def _say(text: str) -> None:
    print(f"fedmets-site: {text}", file=sys.stderr, flush=True)


def _say_on_terminal(name: str) -> None:
    if sys.stderr.isatty():
        _say(name)
