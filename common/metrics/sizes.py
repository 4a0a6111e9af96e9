"""Lesions by size: bands of equivalent diameter and of volume, and the share found in each."""

from collections.abc import Callable, Iterable

from common.metrics.diameters import equivalent_diameter_mm
from common.metrics.scores import VOLUME_BANDS, LesionScore, Share, volume_band

DIAMETER_BANDS = ("under_3", "3_to_6", "6_to_10", "over_10")


def diameter_band(volume_mm3: float) -> str:
    """The band of DIAMETER_BANDS (mm): 3 belongs to 3_to_6, 6 and 10 to 6_to_10."""
    diameter = equivalent_diameter_mm(volume_mm3)
    if diameter < 3.0:
        return "under_3"
    if diameter < 6.0:
        return "3_to_6"
    return "6_to_10" if diameter <= 10.0 else "over_10"


def sensitivity_by_diameter(lesions: Iterable[LesionScore]) -> dict[str, Share]:
    """The share of lesions found in each of DIAMETER_BANDS; None in a band without lesions."""
    return _shares(lesions, DIAMETER_BANDS, diameter_band)


def sensitivity_by_volume(lesions: Iterable[LesionScore]) -> dict[str, Share]:
    """The share of lesions found in each of scores.VOLUME_BANDS (mm3); None in a band without lesions."""
    return _shares(lesions, VOLUME_BANDS, volume_band)


def _shares(
    lesions: Iterable[LesionScore], bands: tuple[str, ...], band_of: Callable[[float], str]
) -> dict[str, Share]:
    members: dict[str, list[LesionScore]] = {band: [] for band in bands}
    for lesion in lesions:
        members[band_of(lesion.volume_mm3)].append(lesion)
    return {
        band: Share(sum(lesion.detected for lesion in group) / len(group) if group else None, len(group))
        for band, group in members.items()
    }
