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
from flwr.supercore.object_store.sql_object_store import SqlObjectStore
from flwr.supercore.state.schema.corestate_models import ObjectPushSession, ObjectPushSessionRoot
from sqlalchemy import insert

from server.whole_answers import WholeAnswers, is_on_its_way

pytestmark = pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")  # Flower's migrations
TASK, ANSWER = "task", "answer"


class FakeGrid:
    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [f"pushed {len(list(messages))}"]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.asked.append(list(message_ids))
        return ()


def database_with(folder: Path, upload_ends_in_s: float | None) -> Path:
    """SuperLink's, made by Flower, with an answer to a task; its upload goes on, unless None."""
    path = folder / "state.db"
    store = SqlObjectStore(str(path))
    state = SqlLinkState(str(path), Mock(), store)
    state.initialize()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO message_res (message_id, reply_to_message_id) VALUES (?, ?)", (ANSWER, TASK)
        )
        connection.commit()
    if upload_ends_in_s is not None:
        ends_at = datetime.now(UTC) + timedelta(seconds=upload_ends_in_s)
        with state.session() as session:
            session.execute(
                insert(ObjectPushSession).values(session_id="s", run_id=7, expires_at=ends_at, pending_count=1)
            )
            session.execute(insert(ObjectPushSessionRoot).values(session_id="s", root_object_id=ANSWER))
    return path


@pytest.mark.parametrize(("upload_ends_in_s", "expected"), [(180.0, True), (-1.0, False), (None, False)])
def test_an_answer_whose_upload_goes_on_is_on_its_way(
    tmp_path: Path, upload_ends_in_s: float | None, expected: bool
) -> None:
    database = database_with(tmp_path, upload_ends_in_s)
    assert is_on_its_way(database, TASK) is expected
    assert not is_on_its_way(database, "another task")


def test_it_is_left_where_it_is_and_the_others_are_fetched(tmp_path: Path) -> None:
    grid = FakeGrid()
    answers = WholeAnswers(grid, database_with(tmp_path, 180.0))
    assert list(answers.pull_messages([TASK])) == []
    assert grid.asked == []
    answers.pull_messages(["another task", TASK])
    assert grid.asked == [["another task"]]
    assert list(answers.push_messages([])) == ["pushed 0"]


def test_without_a_database_everything_is_asked_for(tmp_path: Path) -> None:
    assert not is_on_its_way(tmp_path / "none.db", TASK)
    assert not (tmp_path / "none.db").exists()
