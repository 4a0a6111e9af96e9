"""The section on thresholds: FROC curves of the arms, sensitivity at set false positives, and voxel AUC."""

from collections.abc import Mapping
from typing import Any

from common.metrics.exam_curve import EVERY_LESION, LESION_GROUPS
from common.metrics.froc_intervals import FALSE_POSITIVE_LIMITS
from common.metrics.intervals import Interval
from simulation.report.froc_figure import FrocLine, draw_froc
from simulation.report.markup import counted, number, percent, table, with_span
from simulation.report.reading import ARM_NAMES, UNKNOWN, arm_interval, arms_of
from simulation.report.sections import BAND_NAMES

_TITLES = {EVERY_LESION: "all lesions", **BAND_NAMES}
_LEAD = (
    "A lower threshold on the network's probability finds more lesions and marks more in vain. Each dot is one of "
    "{thresholds} set thresholds; two models are best compared where they mark as many in vain. Upright bars are "
    "95&nbsp;% intervals; the ring is the threshold that the plan sets. The local arm's curve is the mean over "
    "the hospitals' own models."
)
_KEY = (
    "From the highest threshold down, the best share found before there are more false positives per scan than "
    "that; 0 where the highest has more already. What comes after does not count, nor is it drawn once false "
    "positives grow fewer again: marks that run together over half the brain touch every lesion. The threshold "
    "was found on these very patients, which flatters a little. Voxel AUC is over all voxels of an exam, "
    "background included, so it lies near 1 even for a poor model: compare arms by it, not studies."
)


def render_froc(result: Mapping[str, Any]) -> str:
    """Four charts and a table; nothing for a result without curves."""
    curves = {arm: found for arm in arms_of(result) if (found := result["arms"][arm].get("froc"))}
    if not curves:
        return ""
    groups = [group for group in LESION_GROUPS if any(_known(curve, group) for curve in curves.values())]
    groups = groups if len(groups) > 2 else groups[:1]  # lesions of one size alone are all lesions
    charts = "".join(
        draw_froc(
            {arm: _line(result, arm, curve, group) for arm, curve in curves.items() if _known(curve, group)},
            f"Share found, {_TITLES[group]}",
            f"froc-{group}",
        )
        for group in groups
    )
    rows = [
        [
            f"{_TITLES[group]}<small>at {counted(limit, 'false positive')} per scan</small>",
            *(with_span(_at(curve, limit, group), percent) for curve in curves.values()),
        ]
        for group in groups
        for limit in FALSE_POSITIVE_LIMITS
    ]
    rows.append(
        [
            "voxel AUC<small>mean over exams</small>",
            *(_auc(Interval(**one["voxel_auc"])) for one in curves.values()),
        ]
    )
    lead = _LEAD.format(thresholds=len(next(iter(curves.values()))["thresholds"]))
    shown = f'<p class="lead">{lead}</p><div class="charts pairs">{charts}</div>' if charts else ""
    return f'{shown}{table(["share found", *(ARM_NAMES[arm] for arm in curves)], rows)}<p class="key">{_KEY}</p>'


def _auc(interval: Interval) -> str:
    return with_span(interval, lambda value: number(value, 4))


def _at(curve: Mapping[str, Any], limit: int, group: str) -> Interval:
    found = curve["sensitivity_at"].get(str(limit), {}).get(group)
    return Interval(**found) if found else UNKNOWN


def _known(curve: Mapping[str, Any], group: str) -> bool:
    """Whether there was a lesion of that size to find."""
    return any(value is not None for value in curve["sensitivity"][group]["estimate"])


def _line(result: Mapping[str, Any], arm: str, curve: Mapping[str, Any], group: str) -> FrocLine:
    false, found = curve["fp_per_scan"]["estimate"], curve["sensitivity"][group]["estimate"]
    most = false.index(max(false))  # thresholds rise: below this one, marks run together
    points = list(zip(false[most:], found[most:], strict=True))[::-1]
    at = {float(limit): _at(curve, limit, group) for limit in FALSE_POSITIVE_LIMITS}
    return FrocLine(points, at, _own_point(result, arm, group))


def _own_point(result: Mapping[str, Any], arm: str, group: str) -> tuple[float, float] | None:
    """What the arm's scores say, which are those of the plan's threshold."""
    false = arm_interval(result, arm, "fp_per_scan").estimate
    name = "lesion_sensitivity" if group == EVERY_LESION else f"sensitivity_{group}"
    found = arm_interval(result, arm, name).estimate
    return None if false is None or found is None else (false, found)
