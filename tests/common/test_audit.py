import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common.audit import GENESIS, AuditLog, read_audit, verify_audit
from common.errors import AuditBroken, StorageError

Lines = list[bytes]


def open_log(path: Path) -> AuditLog:
    ticks = iter(range(100))
    return AuditLog(path, clock=lambda: float(next(ticks)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = open_log(tmp_path / "audit.jsonl")
    for round_id in range(5):
        log.record("round-committed", round_id, {"sites": ["a", "b"], "loss": 0.5 * round_id})
    return tmp_path / "audit.jsonl"


def test_lines_hold_what_happened_and_the_line_before(path: Path) -> None:
    first, second, *_ = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["seq"], first["time"], first["event"], first["round"]) == (0, 0.0, "round-committed", 0)
    assert first["previous"] == GENESIS
    assert second["previous"] == first["sha256"]
    assert second["details"] == {"sites": ["a", "b"], "loss": 0.5}
    assert verify_audit(path) == 5


def edit(lines: Lines) -> Lines:
    return [lines[0], lines[1].replace(b'"loss":0.5', b'"loss":0.4'), *lines[2:]]


def edit_and_hash_anew(lines: Lines) -> Lines:
    """What someone does who knows the format: line 2 is right in itself, line 3 gives it away."""
    values = json.loads(lines[1])
    values["details"]["loss"] = 0.4
    del values["sha256"]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    values["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    line = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return [lines[0], line.encode() + b"\n", *lines[2:]]


def say_twice(lines: Lines) -> Lines:
    """Most readers take the last of two like keys, some the first: what the hash covers must be all there is."""
    return [lines[0], lines[1].replace(b'{"loss":0.5', b'{"loss":0.4,"loss":0.5'), *lines[2:]]


@pytest.mark.parametrize(
    ("tamper", "line"),
    [
        (edit, 2),
        (edit_and_hash_anew, 3),
        (say_twice, 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4),
        (lambda lines: [*lines[:4], b"{}\n"], 5),
        (lambda lines: [*lines[:4], b"\xff\xfe\n"], 5),
        (lambda lines: [*lines[:4], lines[4][:-1]], 5),
    ],
)
def test_tampering_is_noticed_at_the_first_bad_line(
    path: Path, tamper: Callable[[Lines], Lines], line: int
) -> None:
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(AuditBroken, match=f"audit.jsonl, line {line}: "):
        verify_audit(path)


def test_a_log_goes_on_where_it_ended(path: Path) -> None:
    *_, before = read_audit(path)
    open_log(path).record("run-resumed", None, {})
    *_, last = read_audit(path)
    assert (last.seq, last.previous) == (5, before.sha256)


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_line_is_cut_off_and_this_is_recorded(path: Path, kept: int) -> None:
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole, last[:kept]]))
    open_log(path)
    records = list(read_audit(path))
    assert [record.seq for record in records] == [0, 1, 2, 3, 4]
    assert records[-1].event == "audit-torn-line-cut"
    assert records[-1].details == {"bytes": len(last[:kept])}


def test_a_tampered_log_is_not_written_on(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"round":3', b'"round":9'))
    with pytest.raises(AuditBroken, match="line 4"):
        open_log(path)


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, before = open_log(path), path.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="the disk is full"):
            log.record("round-committed", 5, {})
    assert path.read_bytes() == before
    log.record("round-committed", 5, {})
    assert verify_audit(path) == 6


def test_a_missing_log_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AuditBroken, match=r"none\.jsonl: cannot read the audit log"):
        verify_audit(tmp_path / "none.jsonl")
