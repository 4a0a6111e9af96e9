"""The shape of result.json that other programs rely on; more keys may come, none of these may go."""

from types import NoneType
from typing import Any

SCORE = (float, NoneType)
SITE = {"site": str, "outcome": str, "cases": int, "steps": int, "seconds": float, "bytes_up": int}
ROUND = {"round": int, "seconds": float, "model_sha256": str, "sites": [SITE]}
BAND = {"value": SCORE, "lesions": int}
SCORES = {
    "dice": SCORE,
    "lesion_sensitivity": SCORE,
    "lesion_precision": SCORE,
    "fp_per_scan": SCORE,
    "lesionwise_dice": SCORE,
    "lesionwise_hd95": SCORE,
    "sensitivity_by_volume": {"under_27": BAND, "27_to_275": BAND, "over_275": BAND},
}
INTERVAL = {"estimate": SCORE, "low": SCORE, "high": SCORE, "units": int}
FROC = {
    "thresholds": [float],
    "sensitivity": {"all": {"estimate": list, "low": list, "high": list}},
    "fp_per_scan": {"estimate": [float], "low": list, "high": list},
    "sensitivity_at": {limit: {"all": INTERVAL, "over_275": INTERVAL} for limit in "124"},
    "voxel_auc": INTERVAL,
}
SECONDS = dict.fromkeys(("prepare", "train", "evaluate", "aggregate", "other", "total"), float)


def result_shape(sites: tuple[str, ...]) -> dict[str, Any]:
    """The shape of a run of all three arms over these sites."""
    arm = {**SCORES, "froc": FROC, "per_site": {site: {**SCORES, "cases": int} for site in sites}}
    cross_site = {trained: dict.fromkeys(sites, SCORE) for trained in sites}
    return {
        "schema": int,
        "status": str,
        "seed": int,
        "matching_rule": str,
        "rounds": [ROUND],
        "model": {"path": str, "sha256": str, "parameters": int},
        "arms": {"federated": arm, "local": {**arm, "cross_site": cross_site}, "pooled": arm},
        "subgroups": {"minimum_patients": int, "patients": (int, NoneType), "fields": {"site": list, "sex": list}},
        "quarantine": dict.fromkeys(sites, dict),
        "seconds": SECONDS,
    }


def misfits(value: Any, shape: Any, place: str = "result") -> list[str]:
    """Where a value does not have the shape: a type, types, a list of one shape, or shapes by key."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{place} is {value!r}"]
        missing = [f"{place}.{key} is missing" for key in shape if key not in value]
        return missing + [
            fault for key in shape if key in value for fault in misfits(value[key], shape[key], f"{place}.{key}")
        ]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{place} is {value!r}"]
        return [fault for i, one in enumerate(value) for fault in misfits(one, shape[0], f"{place}[{i}]")]
    return [] if isinstance(value, shape) and not isinstance(value, bool) else [f"{place} is {value!r}"]
