"""Typed answers to questions about a result.json; what it does not hold is None or empty, never an error."""

from collections.abc import Mapping
from typing import Any

from common.metrics.intervals import Interval
from simulation.report.content import CurvePoint

ARM_NAMES = {"federated": "Federated", "pooled": "Pooled", "local": "Local"}
MEASURES = {
    "dice": "Dice",
    "lesion_sensitivity": "Lesion sensitivity",
    "lesion_precision": "Lesion precision",
    "fp_per_scan": "False positives per scan",
}
LESIONWISE = {  # by the rule of BraTS 2023 and 2024
    "lesionwise_dice": "Lesion-wise Dice",
    "lesionwise_hd95": "Lesion-wise HD95, mm",
}
UNKNOWN = Interval(None, None, None, 0)


def arms_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The arms that were run: federated, pooled, local, in that order."""
    return tuple(arm for arm in ARM_NAMES if arm in result.get("arms", {}))


def arm_interval(result: Mapping[str, Any], arm: str, statistic: str) -> Interval:
    """A score of an arm; its plain value without an interval when that is all there is."""
    scores = result.get("arms", {}).get(arm, {})
    if statistic in scores.get("intervals", {}):
        return Interval(**scores["intervals"][statistic])
    return Interval(scores.get(statistic), None, None, 0)


def dice_at(result: Mapping[str, Any], arm: str, site: str) -> float | None:
    """Dice of the federated or the pooled model on a site's own test cases."""
    found: float | None = result.get("arms", {}).get(arm, {}).get("per_site", {}).get(site, {}).get("dice")
    return found


def comparison(result: Mapping[str, Any], name: str, statistic: str) -> Interval:
    """A paired comparison such as federated_over_pooled."""
    found = result.get("comparisons", {}).get(name, {}).get(statistic)
    return Interval(**found) if found else UNKNOWN


def sites_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Every site that the result speaks of, in the order of the federation."""
    named = dict.fromkeys(result.get("cases", {}))
    named.update(dict.fromkeys(row["site"] for one in result.get("rounds", []) for row in one["sites"]))
    named.update(dict.fromkeys(result.get("quarantine", {})))
    return tuple(named)


def curves_of(result: Mapping[str, Any]) -> tuple[CurvePoint, ...]:
    """Loss and validation Dice by round and site, as the sites reported them."""
    return tuple(
        CurvePoint(one["round"], row["site"], row.get("loss"), row.get("incoming_dice"))
        for one in result.get("rounds", [])
        for row in one["sites"]
    )
