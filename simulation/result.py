"""result.json: what a run came to, for programs; and its one-paragraph summary, for people."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.durable import write_durably
from common.metrics.detection import MATCHING_RULE
from common.metrics.exam_curve import ExamCurve
from common.notice import NOTICE
from common.protocol import CaseSums
from common.statistics.subgroup_table import subgroup_table
from common.statistics.subgroups import Traits
from common.weights import Weights
from server.records import Participation, RoundRecord, RunStatus
from simulation.arms import LOCAL_PREFIX, Scores, compare_arms, describe_arm, describe_local, local_rows
from simulation.froc import describe_froc
from simulation.sites import Prepared

RESULT_FILE = "result.json"
MODEL_FOLDER = "model"
_LIST_OF_NUMBERS = re.compile(r"\[\n[-+0-9.eEnul,\s]+\]")
"""A list over several lines without a letter but those of 1e-05 and null: no text holds a bare line's end."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Everything that a finished run knows.

    Attributes:
        status: how the federation ended; `completed` when only baselines were asked for.
        history: the federation's rounds.
        baselines: the pieces of each baseline, by name.
        models: final weights by name: `federated`, `pooled`, `local-SITE`.
        scores: on all sites' test cases, by the same names.
        traits: what the dataset knows of the test cases, by site and exam.
        curves: the test cases' parts in FROC curves, by the names of `scores`; a model may lack them.
    """

    prepared: Prepared
    status: RunStatus
    history: tuple[RoundRecord, ...]
    baselines: Mapping[str, tuple[RoundRecord, ...]]
    models: Mapping[str, Weights]
    scores: Mapping[str, Scores]
    traits: Mapping[tuple[str, str], Traits] = field(default_factory=dict)
    curves: Mapping[str, tuple[ExamCurve, ...]] = field(default_factory=dict)


def build_result(judged: Judged) -> dict[str, Any]:
    """The result, all but its `seconds`, which are known when everything else is written."""
    prepared = judged.prepared
    return {
        "schema": 1,
        "status": str(judged.status),
        "name": prepared.plan.name,
        "seed": prepared.plan.seed,
        "plan_id": prepared.plan.fingerprint(),
        "matching_rule": MATCHING_RULE,
        "rounds": [_round(record) for record in judged.history],
        "model": _model(judged),
        "arms": _arms(judged),
        "comparisons": _comparisons(judged),
        "subgroups": _subgroups(judged),
        "quarantine": {site.name: dict(site.quarantined) for site in prepared.sites},
        "cases": {
            site.name: {"training": len(site.training), "validation": len(site.validation), "test": len(site.test)}
            for site in prepared.sites
        },
        "sequences": {site.name: dict(site.sequences) for site in prepared.sites},
        "left_out": prepared.left_out,
        "notes": list(prepared.notes),
    }


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write result.json durably; a list of numbers stands on one line."""
    text = json.dumps(result, indent=2, allow_nan=False)
    text = _LIST_OF_NUMBERS.sub(lambda numbers: " ".join(numbers[0].split()), text)
    write_durably(folder / RESULT_FILE, text.encode())


def headline(result: Mapping[str, Any], folder: Path) -> str:
    """A few lines for the terminal."""
    rounds = len(result["rounds"])
    after = f" after {rounds} round{'s' if rounds > 1 else ''}" if rounds else ""
    lines = [f"{result['name']}: {result['status']}{after}"]
    for arm, scores in result["arms"].items():
        lines.append(
            f"  {arm:<10} Dice {_number(scores['dice'])}"
            f", lesion sensitivity {_number(scores['lesion_sensitivity'])}"
            f", precision {_number(scores['lesion_precision'])}"
            f", false positives per scan {_number(scores['fp_per_scan'])}"
        )
    ratio = result["comparisons"].get("federated_over_pooled", {}).get("dice")
    if ratio and ratio["estimate"] is not None:
        lines.append(f"  federated / pooled Dice {_number(ratio['estimate'])}{_range(ratio)}")
    missing = [
        f"{site['site']} {site['outcome']}{_why(site)} in round {record['round']}"
        for record in result["rounds"]
        for site in record["sites"]
        if site["outcome"] != "accepted"
    ]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        lines.append(f"  missing work: {'; '.join(missing[:3])}{more}")
    lines.append(f"  {folder / 'report.html'} - {NOTICE}")
    return "\n".join(lines)


def _round(record: RoundRecord) -> dict[str, Any]:
    return {
        "round": record.round,
        "seconds": record.seconds,
        "advanced": record.advanced,
        "model_sha256": record.model_sha256,
        "sites": [_site(site) for site in record.sites],
    }


def _site(site: Participation) -> dict[str, Any]:
    incoming = site.incoming if isinstance(site.incoming, CaseSums) else None
    return {
        "site": site.site,
        "outcome": str(site.outcome),
        "code": str(site.code) if site.code else None,
        "cases": site.cases,
        "steps": site.steps,
        "seconds": site.seconds,
        "bytes_up": site.bytes_up,
        "loss": site.loss,
        "incoming_dice": incoming.dice / incoming.patients if incoming else None,
    }


def _model(judged: Judged) -> dict[str, Any] | None:
    weights = judged.models.get("federated")
    if weights is None:
        return None
    return {"path": MODEL_FOLDER, "sha256": weights.sha256(), "parameters": int(weights.vector.size)}


def _arms(judged: Judged) -> dict[str, Any]:
    sites, seed = judged.prepared.plan.sites, judged.prepared.plan.seed
    arms: dict[str, Any] = {}
    if "federated" in judged.scores:
        arms["federated"] = describe_arm(judged.scores["federated"], sites, seed)
    local = local_rows(judged.scores)
    if local:
        arms["local"] = describe_local(local, sites, seed)
    if "pooled" in judged.scores:
        arms["pooled"] = describe_arm(judged.scores["pooled"], sites, seed)
    for arm, scores in arms.items():
        models = {name: curves for name, curves in judged.curves.items() if _arm_of(name) == arm}
        scores["froc"] = describe_froc(models, seed)
    return arms


def _arm_of(model: str) -> str:
    return "local" if model.startswith(LOCAL_PREFIX) else model


def _comparisons(judged: Judged) -> dict[str, Any]:
    """Paired over patients; the local arm is the mean over its models."""
    seed, federated, pooled = (
        judged.prepared.plan.seed,
        judged.scores.get("federated"),
        judged.scores.get("pooled"),
    )
    local = tuple(local_rows(judged.scores).values())
    comparisons: dict[str, Any] = {}
    if federated and pooled:
        comparisons["federated_over_pooled"] = compare_arms([federated], [pooled], "ratio", seed)
        comparisons["federated_minus_pooled"] = compare_arms([federated], [pooled], "difference", seed)
    if federated and local:
        comparisons["federated_minus_local"] = compare_arms([federated], local, "difference", seed)
    return comparisons


def _subgroups(judged: Judged) -> dict[str, Any] | None:
    """Of the federated arm; None without one."""
    federated = judged.scores.get("federated")
    return subgroup_table(federated, judged.traits, judged.prepared.plan.seed) if federated else None


def _why(site: Mapping[str, Any]) -> str:
    return f" ({site['code']})" if site["code"] else ""


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _range(interval: Mapping[str, Any]) -> str:
    if interval["low"] is None:
        return ""
    return f" (95 % interval {interval['low']:.3f} to {interval['high']:.3f})"
