"""What the arms of an experiment come to: scores with intervals, side by side.

- federated: one model from all sites; judged on every site's test cases.
- local: one model a site, trained on its own cases alone; each judged on every site's test cases. The arm's
  scores are the mean over these models.
- pooled: one model from all cases in one place.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from common.metrics.intervals import Comparison, Interval, bootstrap_intervals, paired_intervals
from common.metrics.scores import VOLUME_BANDS, CaseScores, summarise
from simulation.lesionwise import lesionwise_intervals
from simulation.size_classes import mean_over_models, sensitivity_with_intervals

Scores: TypeAlias = tuple[CaseScores, ...]
LOCAL_PREFIX = "local-"
_MEASURES = (
    *("dice", "lesion_sensitivity", "lesion_precision", "fp_per_scan"),
    *("lesionwise_dice", "lesionwise_hd95"),
)


def describe_arm(scores: Scores, sites: Sequence[str], seed: int) -> dict[str, Any]:
    """Scores of one model over all test cases, by the site the case lies at, with patient-level intervals."""
    return {
        **summarise(scores).to_dict(),
        "sensitivity_by_diameter": sensitivity_with_intervals(scores, seed),
        "per_site": {site: summarise([s for s in scores if s.site == site]).to_dict() for site in sites},
        "intervals": _intervals(
            {**bootstrap_intervals([scores], _generator(seed)), **lesionwise_intervals(scores, seed)}
        ),
    }


def describe_local(by_model: Mapping[str, Scores], sites: Sequence[str], seed: int) -> dict[str, Any]:
    """The local models: means over models, each model's own scores, and the cross-site matrix of Dice.

    `per_site` is keyed by where a model was trained; its scores are over all sites' test cases.
    """
    per_model = {site: summarise(scores).to_dict() for site, scores in by_model.items()}
    return {
        **{name: _mean([summary[name] for summary in per_model.values()]) for name in _MEASURES},
        "sensitivity_by_volume": {
            band: {
                "value": _mean(
                    [summary["sensitivity_by_volume"][band]["value"] for summary in per_model.values()]
                ),
                "lesions": max(
                    (s["sensitivity_by_volume"][band]["lesions"] for s in per_model.values()), default=0
                ),
            }
            for band in VOLUME_BANDS
        },
        "sensitivity_by_diameter": mean_over_models(
            [sensitivity_with_intervals(scores, seed) for scores in by_model.values()]
        ),
        "per_site": per_model,
        "cross_site": {
            trained: {tested: summarise([s for s in scores if s.site == tested]).dice for tested in sites}
            for trained, scores in by_model.items()
        },
        "intervals": _intervals(bootstrap_intervals(list(by_model.values()), _generator(seed))),
    }


def compare_arms(
    first: Sequence[Scores], second: Sequence[Scores], comparison: Comparison, seed: int
) -> dict[str, Any]:
    """Paired intervals of one arm against another on the same patients; an arm is its models' scores."""
    return _intervals(paired_intervals(first, second, comparison, _generator(seed)))


def local_rows(scores: Mapping[str, Scores]) -> dict[str, Scores]:
    """The local models' scores by the site they were trained at."""
    return {
        name.removeprefix(LOCAL_PREFIX): rows for name, rows in scores.items() if name.startswith(LOCAL_PREFIX)
    }


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, 0xB007]))


def _intervals(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: interval.to_dict() for name, interval in intervals.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
