import sqlite3
from contextlib import closing

from sqlalchemy import create_engine, event, text

from server.superlink_main import leave_deleted


def test_deleted_pages_are_not_written_again() -> None:
    engine = create_engine("sqlite://")
    event.listen(engine, "connect", leave_deleted)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA secure_delete")).scalar_one() == 2  # FAST
    with closing(sqlite3.connect(":memory:")) as untouched:
        assert untouched.execute("PRAGMA secure_delete").fetchone()[0] in (0, 1)
