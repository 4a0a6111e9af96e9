"""Several seeds of one experiment in one summary: means over seeds, with Student's t intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.metrics.intervals import SEEDS, Interval, t_interval
from common.metrics.scores import VOLUME_BANDS
from simulation.report.reading import ARM_NAMES, MEASURES


def summarise_study(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise the result.json of every seed.

    A seed in which a score is null counts in no mean of that score; `units` tells how many seeds do. The ratio
    to pooled is formed within each seed and then averaged, so that what makes a seed's cohort hard cancels.
    Ratios 0.95, 0.97, 0.99 give 0.97, 0.920 to 1.020.

    Returns:
        A JSON-ready dict: `seeds`, `status` by seed, `interval` (the method's name), `arms` (by arm an interval
        for every measure, and `sensitivity_by_volume` with the lesions of all seeds together),
        `federated_over_pooled` and `federated_minus_local` (an interval for every measure), and `per_seed` Dice.
    """
    arms = [arm for arm in ARM_NAMES if any(arm in result["arms"] for result in results)]
    return {
        "seeds": [result["seed"] for result in results],
        "status": {str(result["seed"]): result["status"] for result in results},
        "interval": SEEDS,
        "arms": {arm: _arm(results, arm) for arm in arms},
        "federated_over_pooled": {m: _paired(results, "federated", "pooled", m, ratio=True) for m in MEASURES},
        "federated_minus_local": {m: _paired(results, "federated", "local", m, ratio=False) for m in MEASURES},
        "per_seed": {arm: [result["arms"].get(arm, {}).get("dice") for result in results] for arm in arms},
    }


def study_markdown(name: str, summary: Mapping[str, Any]) -> str:
    """The summary as Markdown: scores by arm, ratio to pooled, sensitivity by lesion volume."""
    arms = summary["arms"]
    head = ["over seeds " + ", ".join(map(str, summary["seeds"])), *(ARM_NAMES[arm] for arm in arms)]
    rows = [[title, *(_text(arms[arm][m]) for arm in arms)] for m, title in MEASURES.items()]
    for band in VOLUME_BANDS:
        shares = {arm: arms[arm]["sensitivity_by_volume"][band] for arm in arms}
        lesions = max((share["lesions"] for share in shares.values()), default=0)
        label = f"sensitivity, {band.replace('_', ' ')} mm³ ({lesions} lesions)"
        rows.append([label, *(_text(shares[arm]["value"]) for arm in arms)])
    lines = [f"# {name}", "", _line(head), _line(["---"] * len(head)), *map(_line, rows), ""]
    for key, label in (
        ("federated_over_pooled", "Dice, federated / pooled"),
        ("federated_minus_local", "Dice, federated − local"),
    ):
        lines.append(f"- {label}: {_text(summary[key]['dice'])}")
    lines += ["", f"Mean ({summary['interval']}). Research software, not a medical device.", ""]
    return "\n".join(lines)


def _arm(results: Sequence[Mapping[str, Any]], arm: str) -> dict[str, Any]:
    own = [result["arms"][arm] for result in results if arm in result["arms"]]
    bands = {}
    for band in VOLUME_BANDS:
        shares = [scores["sensitivity_by_volume"][band] for scores in own]
        bands[band] = {
            "value": _mean([share["value"] for share in shares]),
            "lesions": sum(share["lesions"] for share in shares),
        }
    return {**{m: _mean([scores[m] for scores in own]) for m in MEASURES}, "sensitivity_by_volume": bands}


def _paired(
    results: Sequence[Mapping[str, Any]], first: str, second: str, measure: str, ratio: bool
) -> dict[str, Any]:
    values = []
    for result in results:
        ours, theirs = (result["arms"].get(arm, {}).get(measure) for arm in (first, second))
        if ours is None or theirs is None or (ratio and theirs == 0):
            continue
        values.append(ours / theirs if ratio else ours - theirs)
    return t_interval(values).to_dict()


def _mean(values: Sequence[float | None]) -> dict[str, Any]:
    return t_interval([value for value in values if value is not None]).to_dict()


def _text(values: Mapping[str, Any]) -> str:
    interval = Interval(**values)
    if interval.estimate is None:
        return "–"
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:.3f}"
    return f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
