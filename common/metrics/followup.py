"""What became of each lesion between two exams of a patient that lie on one grid, registered rigidly."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from common.metrics.diameters import equivalent_diameter_mm
from common.metrics.exam_lesions import ExamLesions, MeasuredLesion, measure_exam
from common.metrics.overlap import Mask, require_same_shape

Link = tuple[int, int]
"""Places of a lesion of the first and of one of the second exam."""


class Change(StrEnum):
    """What became of a lesion."""

    NEW = "new"
    GONE = "gone"
    GROWN = "grown"
    SHRUNK = "shrunk"
    STABLE = "stable"


class Course(StrEnum):
    """How lesions of the first exam and of the second belong together."""

    SAME = "one to one"
    SPLIT = "split"
    MERGED = "merged"
    REGROUPED = "regrouped"


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """Thresholds; both must be reached for a change, values on a threshold reach it.

    Attributes:
        grown_ratio, shrunk_ratio: of the volumes, second over first.
        least_mm: change of the diameter of the ball of equal volume. It keeps the border's uncertainty from
            counting as growth: half a millimetre makes a lesion of 3 mm larger by 59 %.
        reach_mm: a lesion that overlaps none of the other exam belongs to the nearest one left over there whose
            nearest voxel centre is at most this far: what registration may be off by.
    """

    grown_ratio: float = 1.25
    shrunk_ratio: float = 0.75
    least_mm: float = 0.5
    reach_mm: float = 2.0


RULE = ChangeRule()


@dataclass(frozen=True, slots=True)
class LesionChange:
    """Lesions that belong together over time: one each mostly; none on one side when new or gone."""

    change: Change
    course: Course
    first: tuple[MeasuredLesion, ...]
    second: tuple[MeasuredLesion, ...]

    @property
    def volumes_mm3(self) -> tuple[float, float]:
        """Summed over the lesions of each exam."""
        return _volume_mm3(self.first), _volume_mm3(self.second)

    @property
    def diameters_mm(self) -> tuple[float, float]:
        """Summed: fragments are added up, and a merged lesion is measured as the one that it is (RECIST 1.1)."""
        first, second = (sum(lesion.diameter_mm for lesion in side) for side in (self.first, self.second))
        return first, second


def match_exams(
    first: Mask, second: Mask, spacing_mm: tuple[float, float, float], slice_axis: int, rule: ChangeRule = RULE
) -> tuple[LesionChange, ...]:
    """Follow every lesion from the first exam to the second.

    Lesions that share a voxel belong together, however many: one that overlaps two of the second exam is split,
    two that overlap one are merged, and chains of these are regrouped. Those that overlap nothing are then joined
    in pairs, nearest first, within `rule.reach_mm`. What belongs together is judged by its summed volume: 1000 mm3
    that split into 400 and 200 have shrunk as 1000 that became 600 have.

    Args:
        first: (X, Y, Z), whatever is not 0 is lesion; the earlier exam.
        second: the later one on the same grid.
        spacing_mm: voxel edges along the array axes.
        slice_axis: the array axis that counts slices, for diameters.
        rule: thresholds.

    Returns:
        Largest of the first exam first, new lesions last.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(second, first)
    before, after = measure_exam(first, spacing_mm, slice_axis), measure_exam(second, spacing_mm, slice_axis)
    links = _overlapping(before.numbers, after.numbers)
    links += _nearest(before, after, links, rule.reach_mm)
    changes = [
        _judge([before.lesions[place] for place in ours], [after.lesions[place] for place in theirs], rule)
        for ours, theirs in _groups(links, len(before.lesions), len(after.lesions))
    ]
    return tuple(sorted(changes, key=lambda change: (not change.first, [-v for v in change.volumes_mm3])))


def judge_change(first_mm3: float, second_mm3: float, rule: ChangeRule = RULE) -> Change:
    """Change by volume in mm3: 0 to 50 new, 50 to 0 gone, 100 to 200 grown (1.5 mm), 20 to 26 stable (0.3)."""
    if first_mm3 == 0 or second_mm3 == 0:
        return Change.NEW if first_mm3 == 0 else Change.GONE
    ratio = second_mm3 / first_mm3
    moved_mm = abs(equivalent_diameter_mm(second_mm3) - equivalent_diameter_mm(first_mm3))
    if moved_mm < rule.least_mm:
        return Change.STABLE
    if ratio >= rule.grown_ratio:
        return Change.GROWN
    return Change.SHRUNK if ratio <= rule.shrunk_ratio else Change.STABLE


def _overlapping(before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> list[Link]:
    both = (before > 0) & (after > 0)
    pairs = np.unique(np.stack([before[both], after[both]], axis=1), axis=0)
    return [(int(one) - 1, int(two) - 1) for one, two in pairs]


def _nearest(before: ExamLesions, after: ExamLesions, links: Sequence[Link], reach_mm: float) -> list[Link]:
    """Pairs of lesions without overlap, the nearest first, each lesion once."""
    ours = set(range(len(before.lesions))) - {one for one, _ in links}
    theirs = set(range(len(after.lesions))) - {two for _, two in links}
    trees = {one: KDTree(before.voxels_mm(one)) for one in ours}
    apart = sorted(
        (float(np.min(trees[one].query(after.voxels_mm(two))[0])), one, two) for one in ours for two in theirs
    )
    found: list[Link] = []
    for gap_mm, one, two in apart:
        if gap_mm <= reach_mm and one in ours and two in theirs:
            found.append((one, two))
            ours.discard(one)
            theirs.discard(two)
    return found


def _groups(links: Sequence[Link], before: int, after: int) -> list[tuple[list[int], list[int]]]:
    """Lesions of both exams that hang together, as places."""
    count = before + after
    if not count:
        return []
    rows, columns = [one for one, _ in links], [before + two for _, two in links]
    graph = coo_array((np.ones(len(links)), (rows, columns)), shape=(count, count))
    number, owner = connected_components(graph, directed=False)
    members = [np.flatnonzero(owner == group).tolist() for group in range(number)]
    return [([p for p in own if p < before], [p - before for p in own if p >= before]) for own in members]


def _judge(first: Sequence[MeasuredLesion], second: Sequence[MeasuredLesion], rule: ChangeRule) -> LesionChange:
    several = (len(first) > 1, len(second) > 1)
    course = {
        (False, False): Course.SAME,
        (False, True): Course.SPLIT,
        (True, False): Course.MERGED,
        (True, True): Course.REGROUPED,
    }[several]
    return LesionChange(
        judge_change(_volume_mm3(first), _volume_mm3(second), rule), course, tuple(first), tuple(second)
    )


def _volume_mm3(lesions: Sequence[MeasuredLesion]) -> float:
    return float(sum(lesion.volume_mm3 for lesion in lesions))
