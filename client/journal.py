"""The hospital's own audit log, written by the daemon and by a person's commands in turn."""

from collections.abc import Callable, Mapping
from datetime import datetime

from client.site_folder import SiteFolder
from common.audit import JSON
from common.lock import exclusive

Clock = Callable[[], datetime]
_WAIT_S = 30.0


def note(folder: SiteFolder, now: datetime, event: str, round_id: int | None, details: Mapping[str, JSON]) -> None:
    """Append one line to SITE_DIR/audit.jsonl, waiting for whoever else is at work in the folder.

    Raises:
        EnrollmentError: somebody has been at work there for half a minute.
        AuditBroken: the log's chain does not hold; says what to do.
        StorageError: the disk is full.
    """
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now).record(event, round_id, details)


def require_log(folder: SiteFolder, now: datetime) -> None:
    """Return when the log can be written on; a torn last line, which a crash leaves, is cut off and that is noted.

    For whoever is about to do what must be on record: a hospital's daemon at its start, above all, since nothing
    that it does later could be answered for.

    Raises:
        as `note` does.
    """
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now)
