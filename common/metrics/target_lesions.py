"""RANO-BM over two matched exams: the first one's target lesions, and what they measure in the second."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.metrics.followup import Change, LesionChange
from common.metrics.rano_bm import Response, choose_targets, respond


@dataclass(frozen=True, slots=True)
class FollowedTargets:
    """Sums over target lesions, and the response with the first exam as baseline and nadir.

    Attributes:
        targets: numbers of the first exam's target lesions.
        baseline_mm, current_mm: sums of their longest diameters. A split lesion's fragments are added up. A lesion
            merged with others is measured whole, and the others then count in the baseline too, targets or not:
            only so are the same lesions summed twice.
        new_lesions: how many.
        largest_growth_mm: the greatest growth of one target's diameter (0 when none grew). The published criteria
            ask for 5 mm in one lesion where `respond` asks for 5 mm of the sum: with less here and `progressive`
            there, a reader should decide.
    """

    targets: tuple[int, ...]
    baseline_mm: float
    current_mm: float
    new_lesions: int
    largest_growth_mm: float
    response: Response


def follow_targets(changes: Sequence[LesionChange]) -> FollowedTargets:
    """Choose targets in the first exam and sum them in both.

    One lesion of 20 mm that splits into 11 and 6, and a new one: 20 to 17 mm, progressive for the new lesion.
    """
    lesions = sorted((lesion for change in changes for lesion in change.first), key=lambda lesion: lesion.number)
    chosen = {lesions[place].number for place in choose_targets([lesion.diameter_mm for lesion in lesions])}
    followed = [change for change in changes if any(lesion.number in chosen for lesion in change.first)]
    baseline_mm = float(sum(change.diameters_mm[0] for change in followed))
    current_mm = float(sum(change.diameters_mm[1] for change in followed))
    new = sum(change.change is Change.NEW for change in changes)
    others = any(change.first and change.second and change not in followed for change in changes)
    growth = max((change.diameters_mm[1] - change.diameters_mm[0] for change in followed), default=0.0)
    return FollowedTargets(
        targets=tuple(sorted(chosen)),
        baseline_mm=baseline_mm,
        current_mm=current_mm,
        new_lesions=new,
        largest_growth_mm=max(0.0, growth),
        response=respond(baseline_mm, baseline_mm, current_mm, new, others),
    )
