import numpy as np
import pytest

from common.metrics.diameters import equivalent_diameter_mm, longest_inplane_diameter_mm

ONE = (1.0, 1.0, 1.0)


def test_hand_computed() -> None:
    mask = np.zeros((8, 8, 12), bool)
    assert longest_inplane_diameter_mm(mask, ONE, 2) == 0.0
    mask[2, 2, :10] = True
    assert longest_inplane_diameter_mm(mask, (0.9, 0.9, 5.0), 2) == pytest.approx(0.9)  # slices are not joined
    assert longest_inplane_diameter_mm(mask, (0.9, 0.9, 5.0), 0) == pytest.approx(50.0)
    mask[2:6, 2, 4] = True
    assert longest_inplane_diameter_mm(mask, ONE, 2) == 4.0
    mask[2:5, 2:6, 7] = True  # 3 by 4 pixels: between the outer edges' centres
    assert longest_inplane_diameter_mm(mask, ONE, 2) == pytest.approx((2**2 + 4**2) ** 0.5)


@pytest.mark.parametrize("radius_mm", [5.0, 12.0])
def test_a_ball_is_its_diameter_long(radius_mm: float) -> None:
    spacing_mm = (0.5, 0.8, 3.0)
    axes = [np.arange(int(30 / s)) * s - 15 for s in spacing_mm]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    ball = x**2 + y**2 + z**2 <= radius_mm**2
    assert longest_inplane_diameter_mm(ball, spacing_mm, 2) == pytest.approx(2 * radius_mm, abs=0.8)


def test_agrees_with_all_pairs_of_points() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((14, 11, 3)) < 0.5
    longest = 0.0
    for number in range(3):
        pixels = np.argwhere(mask[:, :, number])
        points = np.concatenate([pixels + step for step in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))])
        points = points * (0.7, 1.3)
        longest = max(longest, np.linalg.norm(points[:, None] - points[None], axis=2).max())
    assert longest_inplane_diameter_mm(mask, (0.7, 1.3, 2.0), 2) == pytest.approx(longest)


def test_equivalent_diameter() -> None:
    assert equivalent_diameter_mm(27.0) == pytest.approx(3.72, abs=5e-3)


def test_refuses_what_has_no_slices() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 4\)"):
        longest_inplane_diameter_mm(np.ones((4, 4)), ONE, 2)
