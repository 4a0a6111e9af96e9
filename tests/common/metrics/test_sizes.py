import math

import pytest

from common.metrics.scores import LesionScore, Share
from common.metrics.sizes import diameter_band, sensitivity_by_diameter, sensitivity_by_volume


def ball_mm3(diameter_mm: float) -> float:
    return math.pi * diameter_mm**3 / 6


@pytest.mark.parametrize(
    ("diameter_mm", "band"),
    [
        (2.99, "under_3"),
        (3.01, "3_to_6"),
        (5.99, "3_to_6"),
        (6.01, "6_to_10"),
        (9.99, "6_to_10"),
        (10.01, "over_10"),
    ],
)
def test_bands_of_diameter(diameter_mm: float, band: str) -> None:
    assert diameter_band(ball_mm3(diameter_mm)) == band


def test_shares_by_band() -> None:
    lesions = [LesionScore(ball_mm3(d), found) for d, found in ((2, False), (2.5, True), (4, True), (12, True))]
    assert sensitivity_by_diameter(lesions) == {
        "under_3": Share(0.5, 2),
        "3_to_6": Share(1.0, 1),
        "6_to_10": Share(None, 0),
        "over_10": Share(1.0, 1),
    }
    assert sensitivity_by_volume(lesions)["under_27"] == Share(0.5, 2)
    assert sensitivity_by_volume([])["over_275"] == Share(None, 0)
