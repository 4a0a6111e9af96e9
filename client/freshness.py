"""Each task is worked on once: what was begun is on disk before the work begins.

The nonces of a plan's tasks are kept for ever; of the rounds only the highest. A round may be asked for again
with a new nonce, since an aggregator that died in mid-round must ask anew, but no earlier one.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.documents import read_document
from common.durable import write_durably
from common.errors import EnrollmentError, RefusalCode, SiteRefusal
from common.schema import Frozen
from common.wire import Nonce, TaskBody, is_in_time

SKEW_S = 240.0  # Flower itself refuses what was signed 5 s ahead of its clock, or 305 s behind


class Begun(Frozen):
    """The tasks of one plan that this site began."""

    nonces: tuple[Nonce, ...] = ()
    highest_round: Annotated[int, Field(ge=0)] = 0


def begin_task(task: TaskBody, folder: Path, site: str, now: datetime) -> None:
    """Take note of a task, or refuse it: begun before, of a round gone by, or of another time.

    Args:
        task: whose signature was verified.
        folder: SITE_DIR/plans/PLAN_ID.
        site: for the refusal's text.
        now: by this machine's clock.

    Raises:
        SiteRefusal: `seen-before`, `stale-round` or `clocks-differ`.
        StorageError: the note cannot be written; then the work must not begin.
    """
    if not is_in_time(task, now, SKEW_S):
        raise SiteRefusal(
            RefusalCode.CLOCKS_DIFFER,
            site,
            f"the task is for {task.issued_at:%Y-%m-%d %H:%M:%S} to {task.answer_by:%H:%M:%S}, here it is "
            f"{now:%Y-%m-%d %H:%M:%S} UTC; set this machine's clock, or tell the consortium that theirs is wrong",
        )
    begun = read_begun(folder)
    if task.nonce in begun.nonces:
        raise SiteRefusal(RefusalCode.SEEN_BEFORE, site, f"the task {task.nonce} was begun before")
    if task.round_id < begun.highest_round:
        raise SiteRefusal(
            RefusalCode.STALE_ROUND,
            site,
            f"round {task.round_id} after round {begun.highest_round}; if the consortium had to go back, approve "
            "the plan again",
        )
    _write(folder, Begun(nonces=(*begun.nonces, task.nonce), highest_round=task.round_id))


def forget_rounds(folder: Path) -> None:
    """Let earlier rounds be asked for again; no task that was begun can be sent again all the same."""
    _write(folder, read_begun(folder).model_copy(update={"highest_round": 0}))


def read_begun(folder: Path) -> Begun:
    """What was begun so far; raises EnrollmentError when the file is damaged."""
    path = folder / "tasks.json"
    if not path.exists():
        return Begun()
    try:
        return read_document(Begun, path, "the list of tasks begun")
    except EnrollmentError:
        raise EnrollmentError(
            f"{path}: the list of tasks begun is damaged, and an old task can no longer be told from a new one; "
            "restore the file from a backup, or ask the consortium for a plan of another name"
        ) from None


def _write(folder: Path, begun: Begun) -> None:
    write_durably(folder / "tasks.json", f"{begun.to_json()}\n".encode())
