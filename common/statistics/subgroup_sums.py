"""Subgroups across hospitals: each reports sums with its small groups suppressed, the server pools them.

No row of a patient leaves a site. A ratio's interval needs, beside the sums of its numerator y and denominator x
over patients, the sums of y^2, xy and x^2: five numbers a measure, whatever the number of patients.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from scipy import stats

from common.metrics.intervals import LEVEL, Interval
from common.metrics.scores import CaseScores
from common.statistics.patients import PatientScores, scores_by_patient
from common.statistics.subgroups import TraitsByExam, group_patients
from common.statistics.suppression import FEWEST_PATIENTS, suppress_small

MEASURES = ("dice", "lesion_sensitivity", "fp_per_scan")


@dataclass(frozen=True, slots=True)
class RatioSums:
    """Sums over `patients` patients of a ratio's numerator y and denominator x, and of their products."""

    patients: int
    y: float
    x: float
    yy: float
    xy: float
    xx: float

    def __add__(self, other: "RatioSums") -> "RatioSums":
        """Of two disjoint groups of patients."""
        return RatioSums(
            self.patients + other.patients,
            self.y + other.y,
            self.x + other.x,
            self.yy + other.yy,
            self.xy + other.xy,
            self.xx + other.xx,
        )


GroupSums: TypeAlias = Mapping[str, RatioSums | None]
"""By measure; None where too few patients contribute."""


@dataclass(frozen=True, slots=True)
class SiteSums:
    """What one site reports.

    Attributes:
        everyone: all its patients; None when they are fewer than the minimum.
        fields: by field and group. A suppressed group is not even named: that a hospital has a patient with a rare
            primary cancer may be enough to know who it is.
    """

    everyone: GroupSums | None
    fields: Mapping[str, Mapping[str, GroupSums]]


@dataclass(frozen=True, slots=True)
class PooledGroup:
    """A group over all sites.

    Attributes:
        intervals: by measure; `units` are the patients behind it.
        sites: how many reported the group.
    """

    intervals: Mapping[str, Interval]
    sites: int


@dataclass(frozen=True, slots=True)
class PooledField:
    """A field over all sites.

    Attributes:
        groups: in the order of first mention.
        withheld: patients whom their sites count in their total but in no group of this field: the figures are
            without them.
    """

    groups: Mapping[str, PooledGroup]
    withheld: int


def site_sums(scores: Sequence[CaseScores], traits: TraitsByExam, minimum: int = FEWEST_PATIENTS) -> SiteSums:
    """A site's report about its own patients.

    Groups are suppressed by `suppress_small`, and lesion sensitivity by the number of patients who have a lesion:
    a group of six in which one patient has all the lesions would else publish that patient's figures.
    """
    everyone = tuple(scores_by_patient(scores).values())
    fields = {}
    for field, groups in group_patients(scores, traits).items():
        hidden = suppress_small({name: len(patients) for name, patients in groups.items()}, minimum).groups
        lesions = {name: sum(p.lesions > 0 for p in patients) for name, patients in groups.items()}
        rare = suppress_small(lesions, minimum).groups
        fields[field] = {
            name: _sums(patients, name in rare) for name, patients in groups.items() if name not in hidden
        }
    with_lesions = sum(patient.lesions > 0 for patient in everyone)
    return SiteSums(
        everyone=_sums(everyone, 0 < with_lesions < minimum) if len(everyone) >= minimum else None, fields=fields
    )


def pool_sums(sites: Iterable[SiteSums]) -> dict[str, PooledField]:
    """Pooled figures by field; a site too small to report anything counts nowhere."""
    reported: dict[str, dict[str, list[GroupSums]]] = {}
    withheld: dict[str, int] = {}
    for site in sites:
        for field, groups in site.fields.items():
            for name, sums in groups.items():
                reported.setdefault(field, {}).setdefault(name, []).append(sums)
            told = sum(_patients(sums) for sums in groups.values())
            withheld[field] = withheld.get(field, 0) + (_patients(site.everyone) - told if site.everyone else 0)
    return {
        field: PooledField(
            {name: _pooled(sums) for name, sums in reported.get(field, {}).items()}, withheld[field]
        )
        for field in withheld
    }


def ratio_interval(sums: RatioSums) -> Interval:
    """The ratio of two sums over patients and its interval, by the linearised variance and Student's t.

    R = y / x; var R = n / (n - 1) * sum (y_i - R x_i)^2 / x^2, which the five sums give. Patients with 1 of 2, 2
    of 2 and 1 of 4 lesions found: R = 4 / 8, residuals (0, 1, -1), standard error sqrt(3 / 2 * 2 / 64) = 0.2165.
    Ends of a share may pass 0 and 1 with few patients: they are not cut, so that it shows.

    Source: Cochran 1977, Sampling Techniques, section 2.11.
    """
    if not sums.x:
        return Interval(None, None, None, sums.patients)
    ratio = sums.y / sums.x
    if sums.patients < 2:
        return Interval(ratio, None, None, sums.patients)
    residuals = max(0.0, sums.yy - 2 * ratio * sums.xy + ratio**2 * sums.xx)
    error = math.sqrt(sums.patients / (sums.patients - 1) * residuals) / sums.x
    half = float(stats.t.ppf((1 + LEVEL) / 2, sums.patients - 1)) * error
    return Interval(ratio, ratio - half, ratio + half, sums.patients)


def _sums(patients: Sequence[PatientScores], no_sensitivity: bool) -> dict[str, RatioSums | None]:
    return {
        "dice": _ratio_sums([(patient.dice, patient.cases) for patient in patients]),
        "lesion_sensitivity": None
        if no_sensitivity
        else _ratio_sums([(patient.found, patient.lesions) for patient in patients]),
        "fp_per_scan": _ratio_sums([(patient.false_positives, patient.cases) for patient in patients]),
    }


def _ratio_sums(pairs: Sequence[tuple[float, float]]) -> RatioSums:
    return RatioSums(
        patients=len(pairs),
        y=sum(y for y, _ in pairs),
        x=sum(x for _, x in pairs),
        yy=sum(y * y for y, _ in pairs),
        xy=sum(x * y for y, x in pairs),
        xx=sum(x * x for _, x in pairs),
    )


def _patients(sums: GroupSums) -> int:
    return max((one.patients for one in sums.values() if one is not None), default=0)


def _pooled(reports: Sequence[GroupSums]) -> PooledGroup:
    nobody = RatioSums(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    intervals = {
        measure: ratio_interval(sum((found for one in reports if (found := one[measure]) is not None), nobody))
        for measure in MEASURES
    }
    return PooledGroup(intervals, len(reports))
