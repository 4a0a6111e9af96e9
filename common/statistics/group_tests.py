"""Is a group of patients unlike the others? One Mann-Whitney test a group, all of a table one family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.statistics.patients import PatientScores
from common.statistics.rank_tests import holm, mann_whitney
from common.statistics.subgroups import UNKNOWN, Groups
from common.statistics.suppression import suppress_small


@dataclass(frozen=True, slots=True)
class GroupTest:
    """A group against all other patients whose value is known.

    Attributes:
        p: two-sided, as it came out.
        p_holm: corrected for every test of the table.
        superiority: chance that a patient of the group is above one of the others, ties one half.
    """

    p: float
    p_holm: float
    superiority: float


def sizes_of(groups: Groups) -> dict[str, int]:
    """Patients by group."""
    return {name: len(patients) for name, patients in groups.items()}


def compare_groups(
    fields: Mapping[str, Groups], value: Callable[[PatientScores], float], minimum: int
) -> dict[tuple[str, str], GroupTest]:
    """Test every group that may be shown; the result is keyed by field and group.

    Both sides need `minimum` patients. Where a field has two known groups the first alone is tested, for both
    would be the same test twice. Unknown patients are on neither side.
    """
    found = {
        (field, name): mann_whitney(own, rest)
        for field, groups in fields.items()
        for name, own, rest in _sides(groups, value, minimum)
    }
    adjusted = holm({key: test.p for key, test in found.items() if test.p is not None})
    return {
        key: GroupTest(test.p, adjusted[key], test.superiority)
        for key, test in found.items()
        if test.p is not None and test.superiority is not None
    }


def _sides(
    groups: Groups, value: Callable[[PatientScores], float], minimum: int
) -> list[tuple[str, list[float], list[float]]]:
    hidden = suppress_small(sizes_of(groups), minimum).groups
    known = [name for name in groups if name != UNKNOWN]
    shown = [name for name in known if name not in hidden]
    sides = []
    for name in shown[:1] if len(known) == 2 else shown:
        own = [value(patient) for patient in groups[name]]
        rest = [value(patient) for other in known if other != name for patient in groups[other]]
        if min(len(own), len(rest)) >= minimum:
            sides.append((name, own, rest))
    return sides
