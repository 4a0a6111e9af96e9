"""Resampling against scipy's general interpolator, and round trips in every orientation."""

import hashlib
import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from nibabel.orientations import aff2axcodes
from scipy import ndimage
from scipy.ndimage import map_coordinates

from client.data.case import Grid
from client.data.geometry import resample, resample_labels, to_native
from client.data.grids import overlap_share, respaced_grid, same_grid, scanner_box, sub_grid, to_ras
from tests.nifti import oriented_affine

SHAPE = (20, 24, 12)
ORIENTATIONS = ["RAS", "LPS", "LAS", "PIR", "ASL", "SRP"]
ALL_48 = [
    "".join(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in itertools.permutations(("RL", "AP", "SI"))
    for signs in itertools.product((0, 1), repeat=3)
]


def native_grid(codes: str, spacing_mm: tuple[float, float, float], degrees: float = 0.0) -> Grid:
    return Grid(SHAPE, oriented_affine(codes, spacing_mm, SHAPE, degrees))


def ramp(grid: Grid) -> npt.NDArray[np.float32]:
    """A function that is linear in scanner coordinates: linear interpolation must be exact on it."""
    points = apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.asarray(points @ np.array([1.0, -2.0, 0.5]) + 300.0, dtype=np.float32)


def oracle(values: npt.NDArray[np.float32], source: Grid, target: Grid) -> npt.NDArray[np.float64]:
    points = apply_affine(target.affine, np.moveaxis(np.indices(target.shape), 0, -1))
    where = np.moveaxis(apply_affine(np.linalg.inv(source.affine), points), -1, 0)
    sampled = map_coordinates(values.astype(np.float64), where, order=1, mode="nearest")
    limits = np.asarray(source.shape).reshape(3, 1, 1, 1) - 0.5
    return np.where(((where >= -0.5) & (where <= limits)).all(axis=0), sampled, 0.0)


@pytest.mark.parametrize("codes", ALL_48)
def test_reorientation_loses_nothing(codes: str) -> None:
    native = native_grid(codes, (1.0, 2.0, 3.0), degrees=8.0)
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    turned, grid = to_ras(values, native)
    assert "".join(aff2axcodes(grid.affine)) == "RAS"
    assert np.array_equal(to_native(turned, grid, native), values)


@pytest.mark.parametrize("degrees", [0.0, 20.0])
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_prepared_volume_returns_to_its_place(codes: str, degrees: float) -> None:
    native = native_grid(codes, (0.898, 0.898, 5.5), degrees)
    _, ras = to_ras(np.zeros(SHAPE), native)
    prepared = respaced_grid(ras, (1.0, 1.3, 2.0))
    back = to_native(ramp(prepared), prepared, native)
    inner = (slice(2, -2),) * 3
    assert back.dtype == np.float32
    assert np.abs(back - ramp(native))[inner].max() < 2e-3


@pytest.mark.parametrize("degrees", [0.0, 15.0])
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_cropped_volume_is_zero_elsewhere(codes: str, degrees: float) -> None:
    native = native_grid(codes, (1.0, 1.1, 4.0), degrees)
    _, ras = to_ras(np.zeros(SHAPE), native)
    start, extent = (4, 3, 5), (ras.shape[0] - 7, ras.shape[1] - 6, ras.shape[2] - 7)
    prepared = respaced_grid(sub_grid(ras, start, extent), (1.5, 1.5, 1.5))
    values = np.random.default_rng(1).uniform(1.0, 2.0, prepared.shape).astype(np.float32)
    result, expected = to_native(values, prepared, native), oracle(values, prepared, native)
    at_a_face = (result == 0) != (expected == 0)  # on the box's very face rounding decides
    assert at_a_face.mean() < 0.02
    assert np.abs(result - expected)[~at_a_face].max() < 1e-4
    assert (result == 0).mean() > 0.3


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    first=st.sampled_from(ALL_48),
    second=st.sampled_from(ALL_48),
    degrees=st.sampled_from([0.0, 0.5, 30.0]),
    edge_mm=st.floats(0.5, 4.0),
)
def test_any_two_grids_agree_with_scipy(first: str, second: str, degrees: float, edge_mm: float) -> None:
    source, target = native_grid(first, (1.0, 1.5, 3.0), degrees), native_grid(second, (edge_mm, 2.0, 1.0))
    values = np.random.default_rng(2).uniform(1.0, 2.0, SHAPE).astype(np.float32)
    result, expected = resample(values, source, target), oracle(values, source, target)
    at_a_face = (result == 0) != (expected == 0)
    assert at_a_face.mean() < 0.05
    assert np.abs(result - expected)[~at_a_face].max() < 1e-4


def test_values_hold_up_to_the_outer_face_and_end_there() -> None:
    coarse = Grid((4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
    fine = Grid((12, 4, 4), np.array([[1.0, 0, 0, -2.5], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]))
    line = to_native(np.ones(coarse.shape, np.float32), coarse, fine)[:, 0, 0]
    assert line.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]  # faces at -1 and 7 mm, centres at -2.5 ... 8.5


def test_fine_noise_does_not_alias() -> None:
    fine = Grid((48, 48, 48), np.eye(4))
    coarse = respaced_grid(fine, (4.0, 4.0, 4.0))
    noise = np.random.default_rng(3).normal(size=fine.shape).astype(np.float32)
    assert resample(noise, fine, coarse, smooth=True).std() < 0.5 * resample(noise, fine, coarse).std()


def test_respaced_grid_keeps_the_centre() -> None:
    grid = native_grid("LPS", (1.0, 1.0, 5.5), 12.0)
    other = respaced_grid(grid, (2.0, 1.0, 2.0))
    assert other.shape == (10, 24, 33)
    assert other.spacing_mm == pytest.approx((2.0, 1.0, 2.0))
    before, after = (apply_affine(each.affine, (np.asarray(each.shape) - 1) / 2) for each in (grid, other))
    assert np.allclose(before, after, atol=1e-9)


def test_coarse_labels_keep_volume_and_lose_no_lesion() -> None:
    fine = Grid((40, 40, 40), np.eye(4))
    classes = np.zeros(fine.shape, np.uint8)
    axes = np.indices(fine.shape) - 12.5
    classes[(axes**2).sum(axis=0) <= 8.0**2] = 1
    classes[33, 33, 33] = 2
    coarse = respaced_grid(fine, (2.0, 2.0, 2.0))
    result = resample_labels(classes, fine, coarse)
    assert (result == 1).sum() * 8 == pytest.approx((classes == 1).sum(), rel=0.05)
    assert np.argwhere(result == 2).tolist() == [[16, 16, 16]]


def test_a_rim_of_one_voxel_inside_oedema_is_kept() -> None:
    """1 mm to 3 mm: its share of the coarse voxel is 1 of 27, the rest is oedema."""
    fine = Grid((27, 27, 27), np.eye(4))
    classes = np.zeros(fine.shape, np.uint8)
    classes[6:21, 6:21, 6:21] = 2
    classes[14, 14, 14] = 3
    classes[25, 25, 25] = 2  # oedema alone, as small
    coarse = respaced_grid(fine, (3.0, 3.0, 3.0))
    kept, lost = (resample_labels(classes, fine, coarse, tumour) for tumour in ({1, 3}, frozenset[int]()))
    assert np.argwhere(kept == 3).tolist() == [[4, 4, 4]]
    assert not (lost == 3).any()
    assert np.array_equal(kept > 0, lost > 0) and kept[8, 8, 8] == 2


def test_what_vanishes_whole_becomes_one_voxel_of_tumour() -> None:
    """3 voxels of oedema and 1 of core, less than half of a coarse voxel."""
    fine = Grid((8, 8, 8), np.eye(4))
    classes = np.zeros(fine.shape, np.uint8)
    classes[4, 4, 4:7], classes[4, 5, 4] = 2, 1
    coarse = respaced_grid(fine, (4.0, 4.0, 4.0))
    result = resample_labels(classes, fine, coarse, {1, 3})
    assert (np.argwhere(result).tolist(), result.max()) == ([[1, 1, 1]], 1)
    assert resample_labels(np.where(classes == 2, 2, 0).astype(np.uint8), fine, coarse, {1, 3}).max() == 2
    beside = np.roll(classes, -1, axis=0)
    beside[3, 5, 4], beside[4, 5, 4] = (
        0,
        1,
    )  # core in another coarse voxel than its oedema, which lies a corner off
    result = resample_labels(beside, fine, coarse, {1, 3})
    assert (np.argwhere(result).tolist(), result.max()) == ([[1, 1, 1]], 1)


@pytest.mark.parametrize("seed", range(4))
def test_every_lesion_has_a_voxel_where_it_was(seed: int) -> None:
    """Of tumour and of all classes together, in random maps of three, on a grid turned and twice as coarse."""
    rng = np.random.default_rng(seed)
    oedema = ndimage.gaussian_filter(rng.normal(size=(30, 30, 30)), 2.0) > 0.12
    spots = rng.random(oedema.shape)
    classes = np.where(spots > 0.995, 3, np.where(spots > 0.99, 1, 2 * oedema)).astype(np.uint8)
    fine = Grid(classes.shape, np.eye(4))
    coarse = Grid((18, 18, 18), oriented_affine("LPS", (2.0, 2.3, 2.1), (18, 18, 18), 10.0))
    coarse.affine[:3, 3] += apply_affine(fine.affine, [14.5] * 3) - apply_affine(coarse.affine, [8.5] * 3)
    result = resample_labels(classes, fine, coarse, {1, 3})
    cells = np.rint(apply_affine(np.linalg.inv(coarse.affine), np.argwhere(classes))).astype(int)
    inside = ((cells >= 0) & (cells < 18)).all(axis=1)
    there = np.zeros(len(cells), np.uint8)
    there[inside] = result[tuple(cells[inside].T)]
    for counted in ((1, 3), (1, 2, 3)):
        numbers, _ = ndimage.label(np.isin(classes, counted), np.ones((3, 3, 3)))
        lesions = numbers[tuple(np.argwhere(classes).T)]
        for lesion in np.setdiff1d(lesions[inside], 0):
            assert np.isin(there[inside & (lesions == lesion)], counted).any()


def test_one_class_is_put_on_another_grid_as_ever() -> None:
    rng = np.random.default_rng(5)
    classes = (ndimage.gaussian_filter(rng.normal(size=(30, 30, 30)), 1.0) > 0.45).astype(np.uint8)
    fine = Grid(classes.shape, np.eye(4))
    coarse = respaced_grid(fine, (2.5, 2.0, 3.0))
    every, named = (resample_labels(classes, fine, coarse, tumour) for tumour in (frozenset[int](), {1}))
    assert np.array_equal(every, named)
    digest = hashlib.sha256(every.tobytes()).hexdigest()
    assert (int(every.sum()), digest[:16]) == (35, "67eefaa75bcaf190")


def test_a_voxel_that_two_classes_fill_together_is_no_background() -> None:
    fine, coarse = Grid((4, 4, 4), np.eye(4)), respaced_grid(Grid((4, 4, 4), np.eye(4)), (2.0, 2.0, 2.0))
    classes = np.zeros(fine.shape, np.uint8)
    classes[:2, :2, :2] = np.array([1, 1, 2, 2, 2, 0, 0, 0]).reshape(2, 2, 2)
    assert resample_labels(classes, fine, coarse)[0, 0, 0] == 2


def test_labels_between_grids_of_one_scan_are_untouched() -> None:
    native = native_grid("PIR", (0.6, 0.6, 3.3), 10.0)
    classes = np.random.default_rng(4).integers(0, 4, SHAPE).astype(np.uint8)
    turned, grid = to_ras(classes, native)
    assert np.array_equal(resample_labels(turned, grid, native), classes)


def test_headers_half_a_voxel_apart_are_one_grid() -> None:
    grid = native_grid("LAS", (1.0, 1.0, 2.0))
    for shift_mm, same in ((0.4, True), (0.6, False)):
        affine = grid.affine.copy()
        affine[0, 3] += shift_mm
        assert same_grid(grid, Grid(SHAPE, affine)) is same
    assert not same_grid(grid, Grid((20, 24, 13), grid.affine))


def test_overlap_is_a_share_of_the_smaller_box() -> None:
    grid = Grid((10, 10, 10), np.eye(4))
    content = np.zeros(grid.shape, bool)
    content[:4] = True
    small = scanner_box(content, grid)
    assert small.tolist() == [[-0.5, -0.5, -0.5], [3.5, 9.5, 9.5]]
    whole = scanner_box(np.zeros(grid.shape, bool), grid)
    assert overlap_share(small, whole) == 1.0
    assert overlap_share(small, small + [[2.0, 0, 0]] * 2) == 0.5
    assert overlap_share(small, small + [[9.0, 0, 0]] * 2) == 0.0
