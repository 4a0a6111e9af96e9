"""The table of an ablation: what each row scored, what that changed, and what may be said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from common.metrics.detection import MATCHING_RULE
from common.metrics.intervals import LEVEL, STATISTICS, Interval
from common.metrics.scores import summarise
from simulation.ablation.config import BASE, Ablation, PlannedRow
from simulation.ablation.effects import (
    METHOD,
    Noise,
    mean_of,
    prediction_effect,
    training_effect,
    training_noise,
    values_of,
)
from simulation.ablation.results import RowResult
from simulation.showing import describe_cohort

MEASURES = {
    "dice": "Dice",
    "lesion_sensitivity": "lesions found",
    "sensitivity_under_27": "found under 27 mm³",
    "sensitivity_27_to_275": "found 27 to 275 mm³",
    "sensitivity_over_275": "found over 275 mm³",
    "fp_per_scan": "false positives per scan",
    "lesion_precision": "precision",
}
_LESS_IS_BETTER = ("fp_per_scan",)
NOTHING = "does nothing that can be told here"
UNKNOWN = "cannot be judged: no interval"
OUT_OF_MEMORY = (MemoryError, torch.OutOfMemoryError)
"""What prediction may raise; in training the sites' own edge catches it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that did not come to its end, and why."""

    why: str


Outcomes = Mapping[str, RowResult | Failed]


def build_table(ablation: Ablation, outcomes: Outcomes) -> dict[str, Any]:
    """All of ablation.json: plain JSON values; rows that were not run yet are there without scores.

    Args:
        ablation: the rows that there are.
        outcomes: of those that were run, by name; the base is among them and did not fail.
    """
    finished = {name: found for name, found in outcomes.items() if isinstance(found, RowResult)}
    trained = [row for row in (ablation.base, *ablation.rows) if row.row.kind == "train"]
    noise = training_noise(finished[row.name].models for row in trained if row.name in finished)
    rows = [_row(row, outcomes, noise) for row in (ablation.base, *ablation.rows)]
    test_cases = finished[BASE].models[0]
    summary = summarise(test_cases)
    told = [
        interval for row in rows for interval in (row["effects"] or {}).values() if interval["low"] is not None
    ]
    return {
        "schema": 1,
        "name": ablation.base.experiment.name,
        "cohort": describe_cohort(ablation.base.experiment),
        "patients": len({(case.site, case.patient) for case in test_cases}),
        "cases": summary.cases,
        "lesions": {band: share.lesions for band, share in summary.sensitivity_by_volume.items()},
        "seeds": list(ablation.base.seeds),
        "matching_rule": MATCHING_RULE,
        "interval": METHOD,
        "noise": {
            name: {"sd": one.sd, "degrees_of_freedom": one.degrees_of_freedom} for name, one in noise.items()
        },
        "comparisons": len(told),
        "by_chance": round((1 - LEVEL) * len(told), 1),
        "rows": rows,
        "seconds": sum(found.seconds for found in finished.values()),
    }


def verdict_of(effects: Mapping[str, Interval]) -> str:
    """In words, by the intervals alone: one that lies above 0 is a gain, or a loss where less is better.

    Dice +0.02 (+0.01 to +0.03) and false positives +0.5 (+0.1 to +0.9): "better: Dice; worse: false positives per
    scan". Intervals that all hold 0: "does nothing that can be told here".
    """
    words: dict[str, list[str]] = {"better": [], "worse": []}
    known = {name: effects[name] for name in MEASURES if effects[name].low is not None}
    for name, interval in known.items():
        direction = direction_of(name, interval)
        if direction:
            words["better" if direction > 0 else "worse"].append(MEASURES[name])
    told = [f"{word}: {', '.join(names)}" for word, names in words.items() if names]
    return "; ".join(told) or (NOTHING if known else UNKNOWN)


def direction_of(measure: str, interval: Interval) -> int:
    """1 for a gain, -1 for a loss, 0 where the interval holds 0 or there is none."""
    if interval.low is None or interval.high is None or interval.low <= 0.0 <= interval.high:
        return 0
    return (1 if interval.low > 0.0 else -1) * (-1 if measure in _LESS_IS_BETTER else 1)


def _row(row: PlannedRow, outcomes: Outcomes, noise: Mapping[str, Noise]) -> dict[str, Any]:
    found, values = outcomes.get(row.name), _description(row)
    if isinstance(found, Failed):
        return {**values, "status": "failed", "verdict": f"failed: {found.why}"}
    if found is None:
        return {**values, "status": "not run", "verdict": "not run yet"}
    values |= {
        "status": str(found.status),
        "seconds": found.seconds,
        "notes": list(found.notes),
        "scores": {name: mean_of(found.models, name) for name in STATISTICS},
        "per_model": [values_of(scores) for scores in found.models],
    }
    if row.name == BASE:
        return {**values, "verdict": "what the others are compared with"}
    other = outcomes.get(row.row.against)
    if not isinstance(other, RowResult):
        return {**values, "verdict": f"nothing to compare with: '{row.row.against}' has no scores"}
    try:
        effects = _effects(row, found, other, noise)
    except ValueError as error:
        return {**values, "verdict": f"cannot be compared: {error}"}
    intervals = {name: interval.to_dict() for name, interval in effects.items()}
    return {**values, "effects": intervals, "verdict": verdict_of(effects)}


def _description(row: PlannedRow) -> dict[str, Any]:
    told = row.row
    return {
        "name": row.name,
        "group": told.group,
        "kind": told.kind,
        "set": told.set,
        "against": None if row.name == BASE else told.against,
        "why": told.why,
        "seeds": list(row.seeds),
        "seconds": None,
        "notes": [],
        "scores": None,
        "per_model": [],
        "effects": None,
    }


def _effects(
    row: PlannedRow, ours: RowResult, theirs: RowResult, noise: Mapping[str, Noise]
) -> dict[str, Interval]:
    seed = row.experiment.seed
    if row.row.kind == "predict":
        return prediction_effect(ours.models, theirs.models, seed)
    if row.row.kind == "ensemble":
        return ensemble_effect(ours, theirs, noise, seed)
    return training_effect(ours.models, theirs.models, noise, seed)


def ensemble_effect(
    ours: RowResult, theirs: RowResult, noise: Mapping[str, Noise], seed: int
) -> dict[str, Interval]:
    """One ensemble against the mean of its own members.

    There is one ensemble, so its noise cannot be seen. It is taken to be that of its members' mean, and
    independent of theirs: more than it is, as both are of the same models.
    """
    members = len(theirs.models)
    return training_effect(ours.models * members, theirs.models, noise, seed)


def unfinished(rows: Sequence[PlannedRow], outcomes: Outcomes) -> tuple[str, ...]:
    """The rows of these that failed or miss some site's work."""
    return tuple(
        row.name
        for row in rows
        if isinstance(found := outcomes[row.name], Failed) or str(found.status) != "completed"
    )


def failure_of(error: Exception) -> Failed:
    """One line of what kept a row from its end."""
    if isinstance(error, OUT_OF_MEMORY):
        return Failed("out of memory; set a smaller evaluation.window_batch, or take fewer --workers")
    return Failed(" ".join(str(error).split()))
