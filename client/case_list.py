"""Which cases a site works with, by role; pinned for as long as a plan runs.

SITE_DIR/plans/PLAN_ID/cases.json names patients and exams, so it stays at the site. Arrays lie in the cache.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from client.data.case import Case, Quarantined
from client.data.channels import count_lacking, count_sequences
from client.data.quality import counts_by_reason
from client.data.splits import Role
from common.durable import storage_errors, write_durably
from common.errors import CaseReason, DataError
from common.plan import Terms
from common.schema import Frozen

CASES_FILE = "cases.json"


class CaseRef(Frozen):
    """A prepared case: its exam and its key in the cache."""

    patient: str
    exam: str
    key: str


class SiteCases(Frozen):
    """One site's cases by role, and what it had to put aside.

    Attributes:
        name: the site's.
        training, validation, test: usable cases.
        quarantined: number of unusable cases by reason.
        sequences: usable cases that have a sequence of the plan, read or made, by sequence.
        lacking: cases that were put aside for a required sequence, by sequence.
    """

    name: str
    training: tuple[CaseRef, ...]
    validation: tuple[CaseRef, ...]
    test: tuple[CaseRef, ...]
    quarantined: dict[str, int] = {}
    sequences: dict[str, int] = {}
    lacking: dict[str, int] = {}

    @property
    def cases(self) -> tuple[CaseRef, ...]:
        """All usable cases."""
        return (*self.training, *self.validation, *self.test)


def cases_by_role(
    name: str,
    cases: Sequence[Case],
    keys: Mapping[str, str],
    roles: Mapping[str, Role],
    bad: Sequence[Quarantined],
    terms: Terms,
) -> SiteCases:
    """A site's usable cases, each role in order of exam.

    Args:
        name: the site's.
        cases: in any order; those without a key are left out.
        keys: place in the cache by exam.
        roles: by patient.
        bad: the site's cases that were put aside; only their counts are kept.
        terms: of the plan, which say what sequences are needed.
    """
    files = {case.exam: case.sequences.keys() for case in cases}
    incomplete = [case.exam for case in bad if case.reason is CaseReason.MISSING_SEQUENCE]
    by_role: dict[Role, list[CaseRef]] = {"train": [], "validation": [], "test": []}
    for case in sorted(cases, key=lambda case: case.exam):
        if case.exam in keys:
            ref = CaseRef(patient=case.patient, exam=case.exam, key=keys[case.exam])
            by_role[roles[case.patient]].append(ref)
    return SiteCases(
        name=name,
        training=tuple(by_role["train"]),
        validation=tuple(by_role["validation"]),
        test=tuple(by_role["test"]),
        quarantined=counts_by_reason(bad),
        sequences=count_sequences((files[exam] for exam in keys if exam in files), terms),
        lacking=count_lacking((files.get(exam, ()) for exam in incomplete), terms),
    )


def pin_cases(path: Path, cases: SiteCases) -> None:
    """Hold a plan to these cases from now on; raises StorageError."""
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, f"{cases.to_json()}\n".encode())


def pinned_cases(path: Path) -> SiteCases | None:
    """The cases that a plan began with; None before it began. Raises DataError when the list is damaged."""
    try:
        return SiteCases.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise DataError(
            f"{path}: the list of the plan's cases cannot be read; approve the plan again to make it anew"
        ) from None


def forget_cases(plan_folder: Path) -> None:
    """Let a plan begin with the cases as they are now; for a person who approves it anew. Raises StorageError."""
    with storage_errors(plan_folder):
        (plan_folder / CASES_FILE).unlink(missing_ok=True)
