"""Check a run's folder without changing it: the audit chain, every commit, and that the two tell one story."""

from dataclasses import dataclass
from pathlib import Path

from common.audit import read_audit
from common.errors import AuditBroken, CheckpointCorrupt
from server.commits import commit_name
from server.federation import AUDIT_FILE, ROUNDS_FOLDER
from server.records import RoundRecord
from server.store import SET_ASIDE, RunStore


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
        CheckpointCorrupt: a commit does not match its manifest, or is missing, the log's newest included.
    """
    audit_records, told = _models_told_of(folder / AUDIT_FILE)
    history = RunStore(folder / ROUNDS_FOLDER, _nothing_to_note).verify()
    for record in history:
        _check_told(record, told, folder, newest=record is history[-1])
    _check_none_lost(len(history), told, folder)
    return Verified(audit_records, len(history), history[-1].model_sha256 if history else None)


def _models_told_of(path: Path) -> tuple[int, dict[int, str]]:
    """Number of records, and the model that each round led to, as far as its commit was not set aside later."""
    count = 0
    told: dict[int, str] = {}
    for record in read_audit(path):
        count += 1
        if record.event == SET_ASIDE and record.round is not None:
            told.pop(record.round, None)
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


def _check_none_lost(rounds: int, told: dict[int, str], folder: Path) -> None:
    """Without its newest commits a run looks whole: only the log knows that there were more."""
    last = max(told, default=0)
    if last > rounds:
        raise CheckpointCorrupt(
            f"{folder / ROUNDS_FOLDER / commit_name(last)}: this round's commit is missing, {AUDIT_FILE} tells of "
            "it; restore a backup, or run the same command again to train the round anew"
        )


def _nothing_to_note(event: str, round_id: int | None, text: str) -> None:
    """A check changes nothing, so there is nothing to tell."""
