"""Response of brain metastases from sums of longest diameters, by RANO-BM's rules for images.

Source: Lin et al. 2015, Lancet Oncol 16:e270. What the full criteria ask for besides stays with a clinician:
steroids, clinical state, confirmation after four weeks, a perpendicular diameter of 5 mm and two slices for a
lesion to be measurable, and whether a lesion is tumour at all.
"""

from collections.abc import Sequence
from enum import StrEnum

MEASURABLE_MM = 10.0
MOST_TARGETS = 5
PROGRESSION_RATIO = 1.2
PROGRESSION_MM = 5.0
PARTIAL_RATIO = 0.7
_SLACK_MM = 1e-9
"""0.7 * 30 is 21, not what floating point makes of it."""


class Response(StrEnum):
    """Category of response; the value is what is shown."""

    COMPLETE = "complete response"
    PARTIAL = "partial response"
    STABLE = "stable disease"
    PROGRESSIVE = "progressive disease"
    NOT_EVALUABLE = "not evaluable"


def choose_targets(diameters_mm: Sequence[float]) -> tuple[int, ...]:
    """Places of the target lesions: the longest five of at least 10 mm, longest first; 10.0 itself is measurable.

    Diameters (9.9, 12, 10, 31) give places (3, 1, 2). Of equals the first is taken.
    """
    order = sorted(range(len(diameters_mm)), key=lambda place: (-diameters_mm[place], place))
    return tuple(place for place in order if diameters_mm[place] >= MEASURABLE_MM - _SLACK_MM)[:MOST_TARGETS]


def sum_of_diameters_mm(diameters_mm: Sequence[float]) -> float:
    """Sum over the target lesions: (9.9, 12, 10, 31) is 53."""
    return float(sum(diameters_mm[place] for place in choose_targets(diameters_mm)))


def respond(
    baseline_mm: float, nadir_mm: float, current_mm: float, new_lesions: int = 0, others_remain: bool = False
) -> Response:
    """Category from the sums of the target lesions' longest diameters.

    In this order:
    1. progressive: any new lesion; or a sum of at least 1.2 times the nadir and at least 5 mm above it;
    2. not evaluable: there was no target lesion at baseline;
    3. complete: the sum is 0 and no other lesion remains (with others remaining it is partial);
    4. partial: at most 0.7 times the baseline;
    5. stable: everything else.

    Baseline 50, nadir 20: 24 is partial (4 mm above), 25 is progressive, though half of the baseline.
    The 5 mm are of the sum; the published text asks for them in one lesion, see
    `common.metrics.target_lesions.FollowedTargets.largest_growth_mm`.

    Args:
        baseline_mm: before treatment.
        nadir_mm: the smallest so far, baseline included.
        current_mm: now, of the same lesions.
        new_lesions: lesions that were not there before.
        others_remain: some lesion that is not a target is still there.

    Raises:
        ValueError: a negative sum or number, or a nadir above the baseline.
    """
    if min(baseline_mm, nadir_mm, current_mm, new_lesions) < 0 or nadir_mm > baseline_mm + _SLACK_MM:
        raise ValueError(
            f"baseline {baseline_mm} mm, nadir {nadir_mm} mm, current {current_mm} mm, {new_lesions} new lesions: "
            "nothing may be negative, and the nadir is at most the baseline"
        )
    if new_lesions or (baseline_mm > 0 and _progressed(nadir_mm, current_mm)):
        return Response.PROGRESSIVE
    if baseline_mm == 0:
        return Response.NOT_EVALUABLE
    if current_mm == 0 and not others_remain:
        return Response.COMPLETE
    if current_mm <= PARTIAL_RATIO * baseline_mm + _SLACK_MM:
        return Response.PARTIAL
    return Response.STABLE


def _progressed(nadir_mm: float, current_mm: float) -> bool:
    above = current_mm - nadir_mm
    return above >= PROGRESSION_MM - _SLACK_MM and current_mm >= PROGRESSION_RATIO * nadir_mm - _SLACK_MM
