"""Preflight of the data: what can be said of a site's cases in a few seconds.

What is said here names cases and paths: it is for the people at the site.
"""

import math
import time
from collections import Counter
from collections.abc import Callable

from client.data.adapters.build import label_rule_for, list_cases
from client.data.adapters.label_values import describe
from client.data.case import LabelRule
from client.data.channels import count_lacking, count_sequences, what_lacks
from client.data.quality import bad_share, counts_by_reason
from client.data.survey import Survey, survey_cases
from common.config import DataSection
from common.errors import CaseReason, FedmetsError
from common.expiry import Finding, Level
from common.plan import Plan, QualitySpec

Clock = Callable[[], float]
_SHOWN = 3
_ALL = "run: fedmets-site check --all, which takes the time that it needs"


def check_data(
    data: DataSection,
    plan: Plan | None,
    limit_s: float = math.inf,
    tell: Callable[[str], None] = lambda _: None,
    clock: Clock = time.monotonic,
) -> tuple[list[Finding], Survey | None]:
    """Look at a site's data for at most `limit_s` seconds, give or take the files under way.

    Args:
        data: where they lie.
        plan: what they are needed for; None looks at every sequence there is.
        limit_s: time for all of it.
        tell: hears how far it came, case by case.
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
    survey = survey_cases(listing, plan, rule, lambda: end - clock(), tell)
    findings = _findings(data, survey, plan, limit_s)
    if plan is not None and rule is not None and rule.meanings:
        findings.append(Finding("ok", "label meaning", describe(rule, plan.labels)))
    return findings, survey


def _rule(data: DataSection, plan: Plan | None) -> LabelRule | None:
    """What the labels may hold; without a plan that is known only from a label_map."""
    if plan is not None:
        return label_rule_for(data, plan)
    if data.label_map is None:
        return None
    return LabelRule(dict.fromkeys(data.label_map, 1), frozenset(data.ignore_labels))


def _findings(data: DataSection, survey: Survey, plan: Plan | None, limit_s: float) -> list[Finding]:
    return [
        _cases(data, survey, limit_s),
        _sequences(survey, plan),
        Finding("ok", "voxel spacing", _most_common(survey.spacings)),
        _label_values(survey),
        _images(survey, limit_s),
        _unusable(survey, plan),
    ]


def _cases(data: DataSection, survey: Survey, limit_s: float) -> Finding:
    total = len(survey.cases)
    patients = len({case.patient for case in survey.cases})
    what = f"{total} cases of {patients} patients at {data.root}"
    if total == 0:
        advice = "every case is unusable, see below; or correct [data] in site.toml"
        return Finding("fail", "cases", f"no usable case at {data.root}", advice)
    if survey.opened < total:
        found = f"{what}; files of only {survey.opened} opened within {limit_s:.0f} s, evenly spread over all"
        return Finding("warn", "cases", found, f"the disk or file server is slow; {_ALL}")
    return Finding("ok", "cases", f"{what}; files, headers and sizes of all looked at")


def _sequences(survey: Survey, plan: Plan | None) -> Finding:
    counts = Counter(name for case in survey.cases for name in case.sequences)
    found = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
    if plan is None:
        return Finding("ok", "sequences", found)
    have, total = [case.sequences.keys() for case in survey.cases], len(survey.cases)
    served = count_sequences(have, plan)
    optional = [f"{name} in {served[name]} of {total}" for name in plan.optional_sequences]
    if optional:
        found += f"; optional: {', '.join(optional)}"
    if "subtraction" in served and (made := served["subtraction"] - counts["subtraction"]):
        found += f"; subtraction made for {made}"
    lacking = count_lacking(have, plan)
    if not lacking:
        return Finding("ok", "sequences", found)
    level: Level = "fail" if max(lacking.values()) == total else "warn"
    return Finding(level, "sequences", found, what_lacks(lacking, total, plan))


def _label_values(survey: Survey) -> Finding:
    values = ", ".join(f"{value} in {count}" for value, count in sorted(survey.values.items())) or "none"
    found = f"{values}; {survey.labels_read} of {len(survey.cases)} labels read"
    if survey.labels_read and not set(survey.values) - {0}:
        advice = "a label without a lesion teaches nothing; check the label files"
        return Finding("warn", "label values", found, advice)
    return Finding("ok", "label values", found)


def _images(survey: Survey, limit_s: float) -> Finding:
    """How many cases were read to the last voxel: the only proof that none of it is damaged."""
    if survey.complete:
        return Finding("ok", "voxels", "all of every case read")
    found = f"{survey.read_whole} of {len(survey.cases)} cases read whole within {limit_s:.0f} s"
    if survey.read_whole:
        return Finding("ok", "voxels", f"{found}, evenly spread over all; check --all reads every one")
    return Finding("warn", "voxels", found, _ALL)


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
