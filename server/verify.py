"""Check a run's folder without changing it: the audit chain, every commit, and that the two tell one story."""

from dataclasses import dataclass
from pathlib import Path

from common.audit import read_audit
from common.errors import AuditBroken
from server.federation import AUDIT_FILE, ROUNDS_FOLDER
from server.records import RoundRecord
from server.store import RunStore


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found whole.

    Attributes:
        audit_records: lines of the audit log.
        rounds: committed rounds, the initial model not counted.
        model_sha256: of the newest round's weights, or None before round 1.
    """

    audit_records: int
    rounds: int
    model_sha256: str | None


def verify_run(folder: Path) -> Verified:
    """Check everything that a run has on disk.

    Raises:
        AuditBroken: the chain does not hold, or it tells of another model than a round's commit.
        CheckpointCorrupt: a commit does not match its manifest, or is missing.
    """
    audit_records, told = _models_told_of(folder / AUDIT_FILE)
    history = RunStore(folder / ROUNDS_FOLDER, _nothing_to_note).verify()
    for record in history:
        _check_told(record, told, folder, newest=record is history[-1])
    return Verified(audit_records, len(history), history[-1].model_sha256 if history else None)


def _models_told_of(path: Path) -> tuple[int, dict[int, str]]:
    """Number of records, and the model that each round led to; a round run again replaces the earlier one."""
    count, told = 0, {}
    for record in read_audit(path):
        count += 1
        sha256 = record.details.get("model_sha256")
        if record.round is not None and isinstance(sha256, str):
            told[record.round] = sha256
    return count, told


def _check_told(record: RoundRecord, told: dict[int, str], folder: Path, newest: bool) -> None:
    expected = told.get(record.round)
    if expected is None and newest:
        return  # cut off between the commit and its line in the log; a resume adds it
    if expected != record.model_sha256:
        raise AuditBroken(
            f"{folder / AUDIT_FILE}: tells of model {str(expected)[:12]} after round {record.round}, "
            f"its commit holds {record.model_sha256[:12]}"
        )


def _nothing_to_note(event: str, round_id: int | None, text: str) -> None:
    """A check changes nothing, so there is nothing to tell."""
