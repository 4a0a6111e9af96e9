"""What is fetched when, by the tables of Flower's own database."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from flwr.app import Message
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore.constant import NodeStatus
from flwr.supercore.object_store.sql_object_store import SqlObjectStore
from flwr.supercore.state.schema.corestate_models import ObjectPushSession, ObjectPushSessionRoot
from flwr.supercore.state.schema.linkstate_models import MessageIns, MessageRes, Node
from sqlalchemy import insert

from server.whole_answers import WholeAnswers, is_due

pytestmark = pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")  # Flower's migrations
TASK, ANSWER, NODE = "task", "answer", 5


class FakeGrid:
    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [f"pushed {len(list(messages))}"]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.asked.append(list(message_ids))
        return ()


def database_with(
    folder: Path, upload_ends_in_s: float | None = None, *, answered: bool = True, online_for_s: float = 30.0
) -> Path:
    """SuperLink's, made by Flower: a task, its node, and an answer whose upload goes on, unless None."""
    path = folder / "state.db"
    store = SqlObjectStore(str(path))
    state = SqlLinkState(str(path), Mock(), store)
    state.initialize()
    with state.session() as session:
        session.execute(insert(MessageIns).values(message_id=TASK, dst_node_id=NODE))
        online_until = datetime.now(UTC).timestamp() + online_for_s
        session.execute(insert(Node).values(node_id=NODE, status=NodeStatus.ONLINE, online_until=online_until))
        if answered:
            session.execute(insert(MessageRes).values(message_id=ANSWER, reply_to_message_id=TASK))
        if upload_ends_in_s is not None:
            ends_at = datetime.now(UTC) + timedelta(seconds=upload_ends_in_s)
            session.execute(
                insert(ObjectPushSession).values(session_id="s", run_id=7, expires_at=ends_at, pending_count=1)
            )
            session.execute(insert(ObjectPushSessionRoot).values(session_id="s", root_object_id=ANSWER))
    return path


@pytest.mark.parametrize(("upload_ends_in_s", "due"), [(180.0, False), (-1.0, True), (None, True)])
def test_an_answer_is_due_unless_its_upload_goes_on(
    tmp_path: Path, upload_ends_in_s: float | None, due: bool
) -> None:
    database = database_with(tmp_path, upload_ends_in_s)
    assert is_due(database, TASK) is due
    assert is_due(database, "another task")  # of which SuperLink may know


@pytest.mark.parametrize(("online_for_s", "due"), [(30.0, False), (-1.0, True)])
def test_one_that_was_not_begun_is_asked_for_once_its_node_went_away(
    tmp_path: Path, online_for_s: float, due: bool
) -> None:
    assert is_due(database_with(tmp_path, answered=False, online_for_s=online_for_s), TASK) is due


def test_an_unregistered_node_went_away(tmp_path: Path) -> None:
    database = database_with(tmp_path, answered=False)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE node SET status = ?", (NodeStatus.UNREGISTERED,))
        connection.commit()
    assert is_due(database, TASK)


def test_it_is_left_where_it_is_and_the_others_are_fetched(tmp_path: Path) -> None:
    grid = FakeGrid()
    answers = WholeAnswers(grid, database_with(tmp_path, 180.0))
    assert list(answers.pull_messages([TASK])) == []
    assert grid.asked == []
    answers.pull_messages(["another task", TASK])
    assert grid.asked == [["another task"]]
    assert list(answers.push_messages([])) == ["pushed 0"]


def test_without_a_database_everything_is_asked_for(tmp_path: Path) -> None:
    assert is_due(tmp_path / "none.db", TASK)
    assert not (tmp_path / "none.db").exists()
