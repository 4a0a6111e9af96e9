"""How the consortium's own audit log stands: every command that writes to it refuses one that does not hold."""

from pathlib import Path

from common.audit import read_audit
from common.errors import AuditBroken
from common.expiry import Finding
from server.provisioning import ServerFolder

_WHAT = "audit log"


def audit_finding(folder: ServerFolder) -> Finding:
    """Check DIR/audit.jsonl from its first line to its last.

    A last line that is torn, as a crash leaves it, is no damage: the next command cuts it off and says so there.
    """
    path, whole = folder.audit_file, 0
    try:
        for _ in read_audit(path):
            whole += 1
    except AuditBroken as error:
        if path.is_file() and _is_torn_after(path, whole):
            return Finding("warn", _WHAT, f"{path}: its last line is torn", "the next command cuts it off")
        advice = (
            f"without it nothing is enrolled, suspended, signed, started or released: move {path} elsewhere, find "
            "out why, and put your last copy in its place; where there is none, the next command begins a new log"
        )
        return Finding("fail", _WHAT, str(error), advice)
    return Finding("ok", _WHAT, f"the chain of {whole} records holds")


def _is_torn_after(path: Path, whole: int) -> bool:
    """Whether all lines but the last, which has no end, were read; False where nothing can be."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return not data.endswith(b"\n") and data.count(b"\n") == whole
