import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from common.metrics.followup import Change, judge_change, match_exams
from common.metrics.rano_bm import Response
from common.metrics.target_lesions import follow_targets

ONE = (1.0, 1.0, 1.0)
Mask = npt.NDArray[np.bool_]


def exam(*boxes: tuple[int, int, int, int], shape: tuple[int, int, int] = (60, 40, 20)) -> Mask:
    """Boxes given as x, y and their lengths; 4 slices thick."""
    mask = np.zeros(shape, bool)
    for x, y, long, wide in boxes:
        mask[x : x + long, y : y + wide, 8:12] = True
    return mask


def told(first: Mask, second: Mask) -> list[tuple[str, str, int, int]]:
    changes = match_exams(first, second, ONE, 2)
    return [(str(c.change), str(c.course), len(c.first), len(c.second)) for c in changes]


def test_new_gone_grown_shrunk_stable() -> None:
    first = exam((2, 2, 10, 10), (20, 2, 8, 8), (35, 2, 6, 6), (50, 2, 5, 5))
    second = exam((2, 2, 10, 10), (20, 2, 12, 12), (35, 2, 3, 3), (30, 30, 3, 3))
    assert told(first, second) == [
        ("stable", "one to one", 1, 1),
        ("grown", "one to one", 1, 1),
        ("shrunk", "one to one", 1, 1),
        ("gone", "one to one", 1, 0),
        ("new", "one to one", 0, 1),
    ]
    grown = match_exams(first, second, ONE, 2)[1]
    assert grown.volumes_mm3 == pytest.approx((256, 576))
    assert grown.diameters_mm == pytest.approx(((8**2 + 7**2) ** 0.5, (12**2 + 11**2) ** 0.5))


def test_splits_and_merges_are_judged_by_their_sum() -> None:
    whole, halves = exam((5, 5, 20, 8)), exam((5, 5, 9, 8), (16, 5, 9, 8))
    assert told(whole, halves) == [("stable", "split", 1, 2)]
    assert told(halves, whole) == [("stable", "merged", 2, 1)]
    assert told(whole, exam((5, 5, 4, 4), (16, 5, 4, 4))) == [("shrunk", "split", 1, 2)]
    shifted = exam((5, 5, 4, 8), (11, 5, 14, 8))
    assert told(halves, shifted)[0][1:] == ("regrouped", 2, 2)


def test_a_tiny_lesion_beside_its_place_is_the_same_one() -> None:
    here, beside, far = exam((10, 10, 2, 2)), exam((13, 10, 2, 2)), exam((14, 10, 2, 2))
    assert told(here, beside) == [("stable", "one to one", 1, 1)]  # nearest voxel centres 2 mm apart
    assert [row[0] for row in told(here, far)] == ["gone", "new"]  # 3 mm
    two = exam((13, 10, 2, 2), (7, 10, 2, 2))
    assert sorted(row[0] for row in told(here, two)) == ["new", "stable"]  # each lesion once


@pytest.mark.parametrize(
    ("first", "second", "change"),
    [(0, 50, Change.NEW), (50, 0, Change.GONE), (100, 200, Change.GROWN), (20, 26, Change.STABLE),
     (1000, 1250, Change.GROWN), (10, 16, Change.STABLE), (4000, 5000, Change.GROWN), (4000, 4999, Change.STABLE),
     (4000, 3000, Change.SHRUNK), (4000, 3001, Change.STABLE), (30, 6, Change.SHRUNK)],
)  # fmt: skip
def test_thresholds(first: float, second: float, change: Change) -> None:
    assert judge_change(first, second) is change


def test_volumes_and_numbers_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = (ndimage.binary_opening(rng.random((40, 40, 20)) < 0.6) for _ in range(2))
    for mask, side in ((first, "first"), (second, "second")):
        labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
        sizes = sorted(np.bincount(labels.ravel())[1:] * 2.0, reverse=True)
        lesions = [one for change in match_exams(first, second, (1, 1, 2), 2) for one in getattr(change, side)]
        lesions.sort(key=lambda lesion: lesion.number)
        assert [lesion.volume_mm3 for lesion in lesions] == pytest.approx(sizes)
        assert len(lesions) == count


def test_refuses_two_grids_and_takes_empty_ones() -> None:
    with pytest.raises(ValueError, match=r"\(60, 40, 20\)"):
        match_exams(exam(), exam(shape=(60, 40, 21)), ONE, 2)
    assert match_exams(exam(), exam(), ONE, 2) == ()


def test_targets_are_followed_through_a_split() -> None:
    first = exam((5, 5, 20, 2), (5, 20, 3, 3))
    found = follow_targets(match_exams(first, exam((5, 5, 11, 2), (18, 5, 6, 2), (5, 20, 3, 3)), ONE, 2))
    long, short, whole = ((n**2 + 1) ** 0.5 for n in (11, 6, 20))
    assert (found.baseline_mm, found.current_mm) == pytest.approx((whole, long + short))
    assert (found.targets, found.new_lesions, found.response) == ((1,), 0, Response.STABLE)


def test_progression_by_the_sum_says_how_much_one_lesion_grew() -> None:
    """20 and 20 mm that become 24 each: 8 mm of the sum, 4 mm of one."""
    first, second = exam((2, 2, 20, 1), (2, 20, 20, 1)), exam((2, 2, 24, 1), (2, 20, 24, 1))
    found = follow_targets(match_exams(first, second, ONE, 2))
    assert (found.baseline_mm, found.current_mm, found.largest_growth_mm) == (40, 48, 4)
    assert found.response is Response.PROGRESSIVE


def test_complete_response_waits_for_the_small_ones() -> None:
    first = exam((2, 2, 20, 1), (2, 20, 3, 1))
    assert follow_targets(match_exams(first, exam((2, 20, 3, 1)), ONE, 2)).response is Response.PARTIAL
    assert follow_targets(match_exams(first, exam(), ONE, 2)).response is Response.COMPLETE
    assert follow_targets(match_exams(exam((2, 20, 3, 1)), exam(), ONE, 2)).response is Response.NOT_EVALUABLE


def test_a_merged_neighbour_counts_on_both_sides() -> None:
    first, second = exam((2, 2, 12, 1), (16, 2, 5, 1)), exam((2, 2, 19, 1))
    found = follow_targets(match_exams(first, second, ONE, 2))
    assert (found.targets, found.baseline_mm, found.current_mm) == ((1,), 17, 19)
