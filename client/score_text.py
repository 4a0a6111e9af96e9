"""Scores as a table for the eye and as CSV."""

import csv
import io
from collections.abc import Mapping

from client.score_agreement import VolumeAgreement, volume_agreement
from client.score_folders import ScoredFolders, summary_of
from client.score_rule import Rule
from client.score_values import further, headline
from client.scoring import ScoredPair
from common.metrics.intervals import BOOTSTRAP, Interval
from common.metrics.region import RegionScores
from common.notice import NOTICE

_SHORT = ("dice", "hd95", "hd95_pooled", "lesionwise_dice", "lesionwise_hd95", "tp", "fp", "fn")
_BANDS = ("sensitivity_by_diameter", "sensitivity_by_volume")
_UNITS = {"diameter": "mm", "volume": "mm3"}


def row_of(scores: RegionScores, rule: Rule) -> dict[str, float | None]:
    """Every measure in one flat row: bands become columns, with the number of lesions beside each share."""
    first = headline(scores, rule)
    row = {name: first[name] for name in _SHORT} | further(scores, rule)
    for kind in _BANDS:
        for band, share in first[kind].items():
            row[f"{kind}_{band}"] = share["value"]
            row[f"{kind}_{band}_lesions"] = share["lesions"]
    return row


def pair_text(pair: ScoredPair, rule: Rule) -> str:
    """One pair: a block a region."""
    lines = []
    for region, scores in pair.regions.items():
        lines.append(f"{region} (rule {rule})")
        first = headline(scores, rule)
        values = {name: first[name] for name in _SHORT} | further(scores, rule)
        lines += [f"  {name:<22} {_number(value)}" for name, value in values.items()]
        for kind in _BANDS:
            unit = _UNITS[kind.removeprefix("sensitivity_by_")]
            shares = ", ".join(
                f"{band.replace('_', ' ')} {unit} {_number(share['value'])} of {share['lesions']}"
                for band, share in first[kind].items()
            )
            lines.append(f"  {kind:<22} {shares}")
    return "\n".join([*lines, NOTICE])


def folders_text(scored: ScoredFolders, rule: Rule) -> str:
    """Two folders: a table of cases a region, then every measure over cases with its interval."""
    lines = []
    wide = max([len("case"), *(len(name) for name in scored.cases)])
    for region in _regions(scored):
        lines.append(f"{region} (rule {rule})")
        lines.append(f"  {'case':<{wide}} " + " ".join(f"{name:>15}" for name in _SHORT))
        for name, pair in scored.cases.items():
            first = headline(pair.regions[region], rule)
            lines.append(f"  {name:<{wide}} " + " ".join(f"{_number(first[key]):>15}" for key in _SHORT))
        lines.append(f"  over {len(scored.cases)} cases ({BOOTSTRAP.replace('patients', 'cases')})")
        for measure, interval in summary_of(list(scored.cases.values()), region, rule).items():
            lines.append(f"    {measure:<34} {_with_interval(interval)}")
        lines += _agreement(volume_agreement(list(scored.cases.values()), region))
    return "\n".join([*lines, NOTICE])


def cases_csv(pairs: Mapping[str, ScoredPair], rule: Rule) -> str:
    """One row for every case and region, all measures; an undefined one is an empty cell."""
    rows: list[dict[str, object]] = [
        {"case": name, "region": region, "rule": rule.value, **row_of(scores, rule)}
        for name, pair in pairs.items()
        for region, scores in pair.regions.items()
    ]
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _agreement(volumes: VolumeAgreement) -> list[str]:
    """Concordance, and Bland-Altman's bias with the limits of agreement."""
    rows = {"volume, concordance": _with_interval(volumes.concordance)}
    for name, found in (("difference in mm3", volumes.difference_mm3), ("ratio", volumes.ratio)):
        limits = f"limits {_number(found.lower.estimate)} to {_number(found.upper.estimate)}"
        left_out = f", {found.left_out} left out for having none in one of the two" if found.left_out else ""
        rows[f"volume, {name}"] = f"{_with_interval(found.bias)}, {limits}{left_out}"
    return [f"    {name:<34} {values}" for name, values in rows.items()]


def _regions(scored: ScoredFolders) -> list[str]:
    return list(next(iter(scored.cases.values())).regions) if scored.cases else []


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _with_interval(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return _number(interval.estimate)
    return f"{_number(interval.estimate)} ({_number(interval.low)} to {_number(interval.high)})"
