"""Answers are fetched once they are whole.

Fetching one whose upload goes on takes as long as the upload does, and only two are fetched at a time, since each
is as large as the model: two hospitals on slow lines would keep all others' answers waiting beyond the deadline.
What SuperLink has of an answer stands in its database, beside this process; so one on its way is left where it is.

An answer of which nothing is known yet is asked for as ever, since SuperLink also says what became of a site that
went away. So is one whose upload stands still for so long that SuperLink gives it up, which it does when asked.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from flwr.app import Message

from server.flower_link import Messages

_ON_ITS_WAY = (
    "SELECT 1 FROM message_res AS answer "
    "JOIN object_push_session_roots AS root ON root.root_object_id = answer.message_id "
    "JOIN object_push_sessions AS upload ON upload.session_id = root.session_id "
    "WHERE answer.reply_to_message_id = ? AND upload.expires_at > ?"
)
_AS_STORED = "%Y-%m-%d %H:%M:%S.%f"
_BUSY_S = 1.0


class WholeAnswers:
    """Flower's grid, without the answers that are still being uploaded.

    Args:
        grid: Flower's.
        database: SuperLink's.
    """

    def __init__(self, grid: Messages, database: Path) -> None:
        self._grid, self._database = grid, database

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """As the grid does."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers to these messages that are there, whole."""
        whole = [each for each in message_ids if not is_on_its_way(self._database, each)]
        return self._grid.pull_messages(whole) if whole else ()


def is_on_its_way(database: Path, message_id: str) -> bool:
    """Whether an answer to this message was begun and has not all come; False where that cannot be told."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", _BUSY_S, uri=True)) as connection:
            now = datetime.now(UTC).strftime(_AS_STORED)
            return connection.execute(_ON_ITS_WAY, (message_id, now)).fetchone() is not None
    except sqlite3.Error:
        return False
