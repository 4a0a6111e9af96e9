"""What may leave the house of a site's patients: sums and counts, the small ones suppressed; never a row."""

from collections.abc import Iterable, Mapping, Sequence

from client.data.case import PreparedCase
from common.metrics.scores import VOLUME_BANDS, CaseScores, volume_band
from common.plan import Plan
from common.protocol import SUPPRESSED, CaseSums, IncomingScores, LesionCounts
from common.statistics.patients import scores_by_patient
from common.statistics.suppression import suppress_overlapping


def sums_that_leave(scores: Sequence[CaseScores], smallest_cell: int) -> IncomingScores:
    """Sums over one site's patients, or "suppressed" when they are fewer than `smallest_cell`; None without any.

    A class of volume is left out when its lesions are of fewer than `smallest_cell` patients, and with it as many
    more as keep it from following from the lesions of all volumes (`suppress_overlapping`). A class without a
    lesion is told: it is of nobody. Patients a to f of whom all have small lesions, a to e medium ones and f a
    large one: large is hidden, and medium, as the difference of all and the other two would be f's.
    """
    patients = scores_by_patient(scores).values()
    if not patients:
        return None
    if len(patients) < smallest_cell:
        return SUPPRESSED
    counts, behind = _by_volume(scores)
    hidden = suppress_overlapping(behind, smallest_cell)
    anyone = frozenset[str]().union(*behind.values())
    dice = [patient.mean_dice for patient in patients]
    false_positives = [patient.fp_per_scan for patient in patients]
    return CaseSums(
        patients=len(patients),
        cases=len(scores),
        dice=sum(dice),
        dice_squared=sum(value * value for value in dice),
        false_positives=sum(false_positives),
        false_positives_squared=sum(value * value for value in false_positives),
        lesions=None if 0 < len(anyone) < smallest_cell else _together(counts.values()),
        by_volume={band: own for band, own in counts.items() if band not in hidden},
    )


def training_count_that_leaves(cases: Sequence[PreparedCase], plan: Plan) -> int | None:
    """Number of training cases; None when of fewer than `smallest_cell` patients, unless they weigh the update."""
    if plan.federation.weighting == "cases":
        return len(cases)
    return len(cases) if len({case.patient for case in cases}) >= plan.evaluation.smallest_cell else None


def reasons_that_leave(quarantined: Mapping[str, int], smallest_cell: int) -> tuple[dict[str, int], bool]:
    """Counts of unusable cases of at least `smallest_cell`, and whether there are others.

    ({"not-3d": 7, "missing-label": 2}, 5) gives {"not-3d": 7} and True. How many the others are is not told.
    """
    told = {reason: count for reason, count in quarantined.items() if count >= smallest_cell}
    return told, any(count > 0 for reason, count in quarantined.items() if reason not in told)


def _by_volume(scores: Sequence[CaseScores]) -> tuple[dict[str, LesionCounts], dict[str, set[str]]]:
    """By class of volume: its lesions, and the patients who have them."""
    detected: dict[str, list[bool]] = {band: [] for band in VOLUME_BANDS}
    behind: dict[str, set[str]] = {band: set() for band in VOLUME_BANDS}
    for score in scores:
        for lesion in score.lesions:
            band = volume_band(lesion.volume_mm3)
            detected[band].append(lesion.detected)
            behind[band].add(score.patient)
    return {band: LesionCounts(len(own), sum(own)) for band, own in detected.items()}, behind


def _together(counts: Iterable[LesionCounts]) -> LesionCounts:
    each = list(counts)
    return LesionCounts(sum(one.lesions for one in each), sum(one.found for one in each))
