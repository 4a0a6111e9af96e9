"""Answers are fetched once they are whole.

Fetching one whose upload goes on takes as long as the upload does, and one is fetched at a time, since each is as
large as the model: a hospital on a slow line would keep all others' answers waiting beyond the deadline. What
SuperLink has of an answer stands in its database, beside this process; so one on its way is left where it is, and
one that was not begun is not asked for, as its upload might begin in that moment.

SuperLink is asked all the same where it has more to say than "not yet": that a site's node went away, or that an
upload stood still for so long that it is given up.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from flwr.app import Message

from server.flower_link import Messages

_DUE = (
    "SELECT CASE WHEN answer.message_id IS NULL THEN NOT EXISTS ("
    "SELECT 1 FROM node WHERE node.node_id = task.dst_node_id "
    "AND node.status != 'unregistered' AND node.online_until >= :seconds"
    ") ELSE NOT EXISTS ("
    "SELECT 1 FROM object_push_session_roots AS root "
    "JOIN object_push_sessions AS upload ON upload.session_id = root.session_id "
    "WHERE root.root_object_id = answer.message_id AND upload.expires_at > :date"
    ") END FROM message_ins AS task "
    "LEFT JOIN message_res AS answer ON answer.reply_to_message_id = task.message_id "
    "WHERE task.message_id = :task"
)
_AS_STORED = "%Y-%m-%d %H:%M:%S.%f"
_BUSY_S = 1.0


class WholeAnswers:
    """Flower's grid, asked only for answers that it can hand out at once.

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
        """The answers to these messages that are there, whole, and what became of those that will not come."""
        due = [each for each in message_ids if is_due(self._database, each)]
        return self._grid.pull_messages(due) if due else ()


def is_due(database: Path, message_id: str) -> bool:
    """Whether SuperLink has a whole answer to this message, or knows that none will come.

    True as well where that cannot be told: SuperLink is asked then, and says what is wrong.
    """
    now = datetime.now(UTC)
    values = {"task": message_id, "seconds": now.timestamp(), "date": now.strftime(_AS_STORED)}
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", _BUSY_S, uri=True)) as connection:
            row = connection.execute(_DUE, values).fetchone()
    except sqlite3.Error:
        return True
    return row is None or bool(row[0])
