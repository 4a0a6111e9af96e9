"""An append-only log in which every line vouches for the one before it.

Each line is one JSON object: `seq` (from 0), `time`, `event`, `round`, `details`, `previous` (the sha256 of the
line before, 64 zeros for the first) and `sha256` (of this line's canonical JSON without that key). Editing,
deleting, inserting or reordering lines breaks the chain at that place. What a chain alone cannot show is a cut
at the very end: keep the last sha256 somewhere else to notice that too.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from common.durable import storage_errors
from common.errors import AuditBroken
from common.schema import Frozen, canonical_json

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
GENESIS = "0" * 64


class AuditRecord(Frozen):
    """One line of the log."""

    seq: int
    time: float
    event: str
    round: int | None
    details: dict[str, Any]
    previous: str
    sha256: str


class AuditLog:
    """The writer's end of a log; one process at a time.

    Opening an existing log checks its whole chain and goes on from its end. A last line without its newline is
    what a crash in mid-write leaves: it was never acknowledged, so it is cut off, and the cut is recorded.

    Raises:
        AuditBroken: the chain of an existing log does not hold; naming the first bad line.
        StorageError: the folder cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        with storage_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            torn_bytes = _cut_torn_line(path)
        self._seq, self._previous = 0, GENESIS
        for record in read_audit(path):
            self._seq, self._previous = record.seq + 1, record.sha256
        if torn_bytes:
            self.record("audit-torn-line-cut", None, {"bytes": torn_bytes})

    def record(self, event: str, round_id: int | None, details: Mapping[str, JSON]) -> None:
        """Append one line; it is on disk when this returns. Raises StorageError."""
        line = {
            "seq": self._seq,
            "time": self._clock(),
            "event": event,
            "round": round_id,
            "details": details,
            "previous": self._previous,
        }
        sha256 = _digest(line)
        with storage_errors(self._path.parent), self._path.open("ab", buffering=0) as file:
            _append_whole(file, _as_line(line, sha256))
        self._seq, self._previous = self._seq + 1, sha256


def read_audit(path: Path) -> Iterator[AuditRecord]:
    """Yield the records of a log in order, checking the chain on the way.

    Raises:
        AuditBroken: at the first line that is not valid, not in its place or not what its hash says.
    """
    seq, previous = 0, GENESIS
    try:
        file = path.open("rb")
    except OSError as error:
        raise AuditBroken(f"{path}: cannot read the audit log ({error.strerror}); check the path") from None
    with file:
        for number, line in enumerate(file, start=1):
            record = _parse(line, f"{path}, line {number}")
            if record.seq != seq or record.previous != previous:
                raise AuditBroken(
                    f"{path}, line {number}: does not follow the line before it (sequence number {record.seq}, "
                    f"expected {seq}); lines were removed, added or reordered here"
                )
            yield record
            seq, previous = seq + 1, record.sha256


def verify_audit(path: Path) -> int:
    """Check a log from its first line to its last and return the number of records; raises AuditBroken."""
    return sum(1 for _ in read_audit(path))


def _parse(line: bytes, where: str) -> AuditRecord:
    if not line.endswith(b"\n"):
        raise AuditBroken(
            f"{where}: the line is torn, as a crash in mid-write leaves it; the next to write here cuts it off "
            "and says so: a site's daemon at its start, an aggregator's next command, a run that is resumed"
        )
    try:
        values = json.loads(line)
        sha256 = values.pop("sha256")
        record = AuditRecord(**values, sha256=sha256)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        raise AuditBroken(f"{where}: not an audit record; the line was edited or damaged") from None
    whole = _as_line(values, sha256) == line  # not so when a key stands there twice, of which one counts
    if _digest(values) != sha256 or not whole:
        raise AuditBroken(f"{where}: its sha256 does not match its content; the line was edited or damaged")
    return record


def _digest(line: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical_json(line).encode()).hexdigest()


def _as_line(values: Mapping[str, object], sha256: str) -> bytes:
    return canonical_json({**values, "sha256": sha256}).encode() + b"\n"


def _append_whole(file: FileIO, line: bytes) -> None:
    """Write and fsync a line, or leave the file as it was: a half line would break the chain of a running log.

    The file must be unbuffered, else closing it after a failure would write the rest of the line once more.
    """
    end = file.tell()
    try:
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise


def _cut_torn_line(path: Path) -> int:
    """Remove what follows the last newline; return how many bytes that was."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    return len(data) - whole
