"""What every adapter does with the exams it has found: read each, quarantine the bad, order the rest."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from client.data.case import Case, Listing, Quarantined
from common.errors import CaseReason, CaseRejected


@dataclass(frozen=True, slots=True)
class Exam:
    """An exam's place on disk, before anybody looked into it."""

    patient: str
    name: str
    folder: Path


def read_exams(exams: Iterable[Exam], read: Callable[[Exam], Case]) -> Listing:
    """Read every exam, in order of name; a fault costs that exam and no other.

    `read` raises CaseRejected; an OSError (a folder without permission) becomes UNREADABLE_FILE.
    """
    cases: list[Case] = []
    quarantined: list[Quarantined] = []
    for exam in sorted(exams, key=lambda each: each.name):
        try:
            cases.append(read(exam))
        except CaseRejected as fault:
            quarantined.append(Quarantined(exam.patient, exam.name, fault.reason, fault.detail))
        except OSError as error:
            detail = f"{exam.folder}: cannot be read ({error.strerror}); correct its permissions"
            quarantined.append(Quarantined(exam.patient, exam.name, CaseReason.UNREADABLE_FILE, detail))
    return Listing(tuple(cases), tuple(quarantined))


def require_some(sequences: dict[str, Path], exam: Exam) -> None:
    """Refuse a folder in which no sequence was found at all (MISSING_SEQUENCE)."""
    if not sequences:
        detail = f"{exam.folder}: none of the expected files; complete the folder or take it away"
        raise CaseRejected(CaseReason.MISSING_SEQUENCE, exam.name, detail)
