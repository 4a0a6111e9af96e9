"""What a federated run needs beside a link: the plan, the rule, and where it writes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.audit import AuditLog
from common.plan import Plan
from server.aggregation.build import Aggregator, build_aggregator
from server.store import RunStore

AUDIT_FILE = "audit.jsonl"
ROUNDS_FOLDER = "rounds"


@dataclass(frozen=True, slots=True)
class Federation:
    """A run's fixed parts.

    Attributes:
        plan: what all sites agreed to.
        aggregator: from a mean update to the next model.
        store: the rounds on disk.
        audit: the hash-chained log of what happened.
        clock: monotonic seconds, for durations alone.
    """

    plan: Plan
    aggregator: Aggregator
    store: RunStore
    audit: AuditLog
    clock: Callable[[], float]


def open_federation(
    plan: Plan,
    folder: Path,
    clock: Callable[[], float],
    wall_clock: Callable[[], float],
    say: Callable[[str], None],
) -> Federation:
    """Open a run's folder, new or begun earlier: `audit.jsonl` and `rounds/` in it.

    Args:
        clock: monotonic seconds, for durations.
        wall_clock: seconds since 1970, for the audit log's times.
        say: told in one line when a damaged commit was set aside or the like; the audit log is told as well.

    Raises:
        AuditBroken: the folder's audit log does not hold.
        StorageError: the folder cannot be written.
    """
    audit = AuditLog(folder / AUDIT_FILE, wall_clock)

    def note(event: str, round_id: int | None, text: str) -> None:
        audit.record(event, round_id, {"text": text})
        say(text)

    store = RunStore(folder / ROUNDS_FOLDER, note)
    return Federation(plan, build_aggregator(plan.federation), store, audit, clock)
