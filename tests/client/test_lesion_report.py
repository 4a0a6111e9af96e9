"""Lesion measurements against slow, independent computations."""

import csv
import io
import itertools

import numpy as np
import pytest
from scipy import ndimage

from client.data.case import Grid
from client.lesion_report import lesions_csv, longest_diameter_mm, measure_lesions
from tests.nifti import oriented_affine

FACES = [face for axis in range(3) for face in (np.eye(3)[axis] / 2, -np.eye(3)[axis] / 2)]


def slow_diameter(voxels: np.ndarray, affine: np.ndarray) -> float:
    points = [affine[:3, :3] @ (voxel + face) for voxel in voxels for face in FACES]
    return max(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(points, 2))


@pytest.mark.parametrize(
    ("voxels", "spacing_mm", "expected"),
    [
        ([[4, 5, 6]], (1.0, 1.0, 1.0), 1.0),
        ([[x, 0, 0] for x in range(4)], (1.0, 1.0, 1.0), 4.0),
        ([[x, 0, 0] for x in range(10)], (0.9, 0.9, 5.5), np.hypot(8.1, 5.5)),
        ([[0, 0, 0], [0, 0, 1]], (0.9, 0.9, 5.5), 11.0),
    ],
)
def test_longest_diameter_of_rows(
    voxels: list[list[int]], spacing_mm: tuple[float, float, float], expected: float
) -> None:
    affine = np.diag([*spacing_mm, 1.0])
    assert longest_diameter_mm(np.array(voxels), affine) == pytest.approx(expected)


def test_longest_diameter_agrees_with_all_pairs_on_an_oblique_anisotropic_grid() -> None:
    generator = np.random.default_rng(3)
    affine = oriented_affine("PIR", (0.7, 1.3, 4.0), (20, 20, 20), rotation_degrees=25.0)
    for size in (2, 9, 40):
        voxels = np.unique(generator.integers(0, 6, size=(size, 3)), axis=0)
        assert longest_diameter_mm(voxels, affine) == pytest.approx(slow_diameter(voxels, affine))


def test_longest_diameter_of_a_ball_is_within_a_voxel_of_the_truth() -> None:
    grid = np.indices((50, 50, 50)) - 24.5
    voxels = np.argwhere((grid**2).sum(axis=0) <= 20.0**2)
    assert longest_diameter_mm(voxels, np.eye(4)) == pytest.approx(40.0, abs=1.0)


def test_lesions_agree_with_scipys_components() -> None:
    generator = np.random.default_rng(5)
    mask = (generator.random((24, 20, 16)) > 0.93).astype(np.uint8)
    probabilities = generator.random((1, 24, 20, 16), dtype=np.float32)
    affine = oriented_affine("LPS", (1.0, 2.0, 3.0), mask.shape)
    lesions = measure_lesions(mask, probabilities, Grid((24, 20, 16), affine), ("tumour",))
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    assert len(lesions) == count
    voxels = ndimage.sum_labels(mask, labels, range(1, count + 1))
    assert [lesion.volume_mm3 for lesion in lesions] == pytest.approx(sorted(6.0 * voxels, reverse=True))
    largest = int(np.argmax(voxels)) + 1
    centre = np.array([*ndimage.center_of_mass(mask, labels, largest), 1.0])
    assert lesions[0].centre_mm == pytest.approx((affine @ centre)[:3])
    assert lesions[0].mean_probability == pytest.approx(ndimage.mean(probabilities[0], labels, largest), rel=1e-5)
    assert [lesion.number for lesion in lesions] == list(range(1, count + 1))


def test_touching_classes_are_lesions_apart_each_with_its_own_probability() -> None:
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[1:3, 1:3, 1:3], mask[3, 1:3, 1:3] = 1, 2
    probabilities = np.stack([np.full(mask.shape, 0.9), np.full(mask.shape, 0.6)]).astype(np.float32)
    lesions = measure_lesions(mask, probabilities, Grid((6, 6, 6), np.eye(4)), ("core", "oedema"))
    assert [(lesion.label, lesion.volume_mm3) for lesion in lesions] == [("core", 8.0), ("oedema", 4.0)]
    assert [lesion.mean_probability for lesion in lesions] == pytest.approx([0.9, 0.6])


def test_empty_mask_gives_a_table_with_a_header_only() -> None:
    lesions = measure_lesions(
        np.zeros((4, 4, 4), np.uint8), np.zeros((1, 4, 4, 4), np.float32), Grid((4, 4, 4), np.eye(4)), ("tumour",)
    )
    rows = list(csv.reader(io.StringIO(lesions_csv(lesions))))
    assert len(rows) == 1
    assert {"volume_mm3", "longest_diameter_mm", "centre_x_mm", "centre_y_mm", "centre_z_mm"} <= set(rows[0])
