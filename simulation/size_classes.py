"""Sensitivity by the diameter of lesions, beside the summary's own by volume; which of both may be public."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.metrics.intervals import ratio_intervals
from common.metrics.scores import VOLUME_BANDS, CaseScores, volume_band
from common.metrics.sizes import DIAMETER_BANDS, diameter_band
from common.statistics.suppression import FEWEST_PATIENTS, suppress_overlapping


@dataclass(frozen=True, slots=True)
class ShownSizes:
    """What may be shown of lesions by size.

    Attributes:
        lesions: whether any figure that counts lesions may be shown.
        volumes: the bands of VOLUME_BANDS that may.
        diameters: whether the bands of DIAMETER_BANDS may, all of them.
    """

    lesions: bool
    volumes: frozenset[str]
    diameters: bool


def sensitivity_with_intervals(scores: Sequence[CaseScores], seed: int) -> dict[str, Any]:
    """The share of lesions found in each of DIAMETER_BANDS with its interval over patients, as JSON values.

    A band without lesions has None throughout and `lesions` 0.
    """
    found: dict[tuple[str, str], dict[str, list[int]]] = {}
    for score in sorted(scores, key=lambda score: (score.site, score.patient)):
        own = found.setdefault((score.site, score.patient), {band: [0, 0] for band in DIAMETER_BANDS})
        for lesion in score.lesions:
            sums = own[diameter_band(lesion.volume_mm3)]
            sums[0] += lesion.detected
            sums[1] += 1
    pairs = {band: [(own[band][0], own[band][1]) for own in found.values()] for band in DIAMETER_BANDS}
    intervals = ratio_intervals(pairs, np.random.default_rng(np.random.SeedSequence([seed, 0xD1A])))
    return {
        band: {
            "value": intervals[band].estimate,
            "lesions": sum(whole for _, whole in pairs[band]),
            "low": intervals[band].low,
            "high": intervals[band].high,
        }
        for band in DIAMETER_BANDS
    }


def mean_over_models(by_model: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several models' `sensitivity_with_intervals` on the same cases: means, without intervals."""
    return {band: _mean([one[band] for one in by_model]) for band in DIAMETER_BANDS}


def shown_sizes(scores: Sequence[CaseScores], minimum: int = FEWEST_PATIENTS) -> ShownSizes:
    """Decide by the number of patients who have such a lesion.

    The two ways of dividing lesions cut at 3, 3.7, 6, 8.1 and 10 mm between them, so that showing both shows six
    classes by subtraction. The diameters are left out unless each of the six has `minimum` patients or none.
    """
    volumes: dict[str, set[object]] = {band: set() for band in VOLUME_BANDS}
    joint: dict[tuple[str, str], set[object]] = {}
    for score in scores:
        for lesion in score.lesions:
            volume = volume_band(lesion.volume_mm3)
            for members in (volumes[volume], joint.setdefault((volume, diameter_band(lesion.volume_mm3)), set())):
                members.add((score.site, score.patient))
    hidden = suppress_overlapping(volumes, minimum)
    with_lesions = len(set().union(*volumes.values()))
    return ShownSizes(
        lesions=with_lesions == 0 or with_lesions >= minimum,
        volumes=frozenset(VOLUME_BANDS) - hidden,
        diameters=all(len(members) >= minimum for members in joint.values()),
    )


def _mean(bands: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one band; whether it has a value depends on the reference alone, so all have one or none has."""
    known = [band["value"] for band in bands if band["value"] is not None]
    value = sum(known) / len(known) if known else None
    return {"value": value, "lesions": max(band["lesions"] for band in bands), "low": None, "high": None}
