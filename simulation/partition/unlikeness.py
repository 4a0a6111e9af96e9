"""How unlike the sites of a partition are, in a few numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from simulation.partition.build import Partition


@dataclass(frozen=True, slots=True)
class SiteSize:
    """What a site has: `median_volume_mm3` is over its lesions, None without any."""

    site: str
    patients: int
    exams: int
    lesions: int
    lesions_per_exam: float | None
    median_volume_mm3: float | None


@dataclass(frozen=True, slots=True)
class Farthest:
    """The two sites that differ most by a distance, and that distance."""

    value: float
    sites: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Unlikeness:
    """Distances between sites; None when fewer than two sites have lesions.

    Attributes:
        sizes: each site's own numbers.
        volume_ks: greatest Kolmogorov-Smirnov distance between two sites' lesion volumes, 0 (alike) to 1.
        volume_emd_log10: greatest earth mover's distance between two sites' log10 volumes in mm3; 0.3 means
            that one site's lesions are about twice as large.
        count_ks: greatest Kolmogorov-Smirnov distance between two sites' lesion counts per exam.
    """

    sizes: tuple[SiteSize, ...]
    volume_ks: Farthest | None
    volume_emd_log10: Farthest | None
    count_ks: Farthest | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def unlikeness(partition: Partition, volumes_mm3: Mapping[str, Sequence[float]]) -> Unlikeness:
    """Measure a partition.

    Args:
        partition: cases by site.
        volumes_mm3: lesion volumes by exam; an exam that is missing there counts as a case only.
    """
    logs, counts, sizes = {}, {}, []
    for site, cases in partition.sites.items():
        known = [volumes_mm3[case.exam] for case in cases if case.exam in volumes_mm3]
        own = np.array([volume for exam in known for volume in exam])
        if own.size:
            logs[site] = np.log10(own)
        if known:
            counts[site] = np.array([len(exam) for exam in known], float)
        sizes.append(
            SiteSize(
                site=site,
                patients=len({case.patient for case in cases}),
                exams=len(cases),
                lesions=own.size,
                lesions_per_exam=own.size / len(known) if known else None,
                median_volume_mm3=float(np.median(own)) if own.size else None,
            )
        )
    return Unlikeness(
        sizes=tuple(sizes),
        volume_ks=_farthest(logs, _ks),
        volume_emd_log10=_farthest(logs, _emd),
        count_ks=_farthest(counts, _ks),
    )


def _farthest(values: Mapping[str, Any], distance: Any) -> Farthest | None:
    pairs = [Farthest(distance(values[a], values[b]), (a, b)) for a, b in combinations(values, 2)]
    return max(pairs, key=lambda pair: pair.value, default=None)


def _ks(first: Any, second: Any) -> float:
    return float(stats.ks_2samp(first, second, method="asymp").statistic)


def _emd(first: Any, second: Any) -> float:
    return float(stats.wasserstein_distance(first, second))
