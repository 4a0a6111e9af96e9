"""Preflight of the data: what can be said of a site's cases in a few seconds.

What is said here names cases and paths: it is for the people at the site.
"""

import time
from collections import Counter
from collections.abc import Callable

from client.data.adapters.build import label_rule, list_cases
from client.data.case import LabelRule
from client.data.quality import bad_share, counts_by_reason
from client.data.survey import Survey, survey_cases
from common.config import DataSection
from common.errors import CaseReason, FedmetsError
from common.expiry import Finding, Level
from common.plan import Plan, QualitySpec

Clock = Callable[[], float]
_SHOWN = 3


def check_data(
    data: DataSection, plan: Plan | None, limit_s: float, clock: Clock = time.monotonic
) -> tuple[list[Finding], Survey | None]:
    """Look at a site's data for at most `limit_s` seconds, give or take one file.

    Args:
        data: where they lie.
        plan: what they are needed for; None looks at every sequence there is.
        limit_s: time for all of it.
        clock: in seconds.

    Returns:
        The findings, and what they were drawn from: None when the data root cannot serve at all.
    """
    end = clock() + limit_s
    try:
        listing = list_cases(data)
        rule = _rule(data, plan)
    except FedmetsError as error:
        return [Finding("fail", "data", str(error))], None
    survey = survey_cases(listing, plan, rule, lambda: clock() < end)
    return _findings(data, survey, plan, limit_s), survey


def _rule(data: DataSection, plan: Plan | None) -> LabelRule | None:
    """What the labels may hold; without a plan that is known only from a label_map."""
    if plan is not None:
        return label_rule(data, plan.labels)
    if data.label_map is None:
        return None
    return LabelRule(data.label_map, frozenset(data.ignore_labels))


def _findings(data: DataSection, survey: Survey, plan: Plan | None, limit_s: float) -> list[Finding]:
    return [
        _cases(data, survey, limit_s),
        _sequences(survey, plan),
        Finding("ok", "voxel spacing", _most_common(survey.spacings)),
        _label_values(survey, limit_s),
        _unusable(survey, plan),
    ]


def _cases(data: DataSection, survey: Survey, limit_s: float) -> Finding:
    total, looked_at = len(survey.cases), survey.looked_at
    patients = len({case.patient for case in survey.cases})
    what = f"{total} cases of {patients} patients at {data.root}"
    if total == 0:
        advice = "every case is unusable, see below; or correct [data] in site.toml"
        return Finding("fail", "cases", f"no usable case at {data.root}", advice)
    if looked_at < total:
        return Finding("ok", "cases", f"{what}; files and headers of {looked_at} looked at within {limit_s:.0f} s")
    return Finding("ok", "cases", f"{what}; files, headers and sizes of all looked at")


def _sequences(survey: Survey, plan: Plan | None) -> Finding:
    counts = Counter(name for case in survey.cases for name in case.sequences)
    found = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
    short = [name for name in plan.sequences if counts[name] < len(survey.cases)] if plan is not None else []
    if not short:
        return Finding("ok", "sequences", found)
    advice = f"not every case has {', '.join(short)}, which the plan needs; add the files or correct their names"
    return Finding("warn", "sequences", found, advice)


def _label_values(survey: Survey, limit_s: float) -> Finding:
    values = ", ".join(f"{value} in {count}" for value, count in sorted(survey.values.items())) or "none"
    found = f"{values}; {survey.labels_read} labels read{'' if survey.complete else f' within {limit_s:.0f} s'}"
    if survey.labels_read and not set(survey.values) - {0}:
        advice = "a label without a lesion teaches nothing; check the label files"
        return Finding("warn", "label values", found, advice)
    return Finding("ok", "label values", found)


def _unusable(survey: Survey, plan: Plan | None) -> Finding:
    counts = counts_by_reason(survey.bad)
    faults = [bad for bad in survey.bad if bad.reason is not CaseReason.EXCLUDED]
    if not faults:
        excluded = f" ({sum(counts.values())} excluded by the dataset)" if counts else ""
        return Finding("ok", "unusable cases", f"none seen{excluded}")
    exams = {bad.exam for bad in survey.bad}
    share = bad_share(counts, sum(case.exam not in exams for case in survey.cases))
    allowed = (plan.quality if plan is not None else QualitySpec()).max_bad_share
    found = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    examples = "; ".join(f"{bad.exam}: {bad.detail}" for bad in faults[:_SHOWN])
    level: Level = "fail" if share > allowed and (plan is not None or share == 1.0) else "warn"
    limit = "the plan" if plan is not None else "a plan as a rule"
    if len(faults) > _SHOWN:
        examples += f"; and {len(faults) - _SHOWN} more"
    shares = f"{share:.1%}, {limit} allows {allowed:.1%}"
    return Finding(level, "unusable cases", f"{found}: {shares}", examples)


def _most_common(spacings: Counter[tuple[float, ...]]) -> str:
    parts = [
        f"{' x '.join(f'{edge:g}' for edge in edges)} mm in {count}"
        for edges, count in spacings.most_common(_SHOWN)
    ]
    others = len(spacings) - len(parts)
    return ", ".join(parts + ([f"{others} others"] if others > 0 else [])) or "none seen"
