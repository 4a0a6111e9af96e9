"""flower-superlink as installed, with settings that its own options do not name.

SQLite as Debian builds it writes zeros over whatever is deleted: each update would be written twice. And Python's
collector of cycles is made to look less often through the many small objects of SuperLink's routes and tables.
Requests are handed to its application whole (common/whole_requests.py). And a piece of an answer that is sent
again, since the line broke before the first time was confirmed, is taken (server/push_again.py).
"""

import gc
import sys
from importlib.metadata import entry_points
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from common.whole_requests import hand_over_whole
from server.push_again import take_again

COMMAND = "flower-superlink"
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def _leave_deleted(connection: Any, _record: Any) -> None:
    """Set up a new connection to SuperLink's database."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA secure_delete = FAST")
    cursor.close()


def tune() -> None:
    """Set up this process, before Flower opens its database."""
    event.listen(Engine, "connect", _leave_deleted)
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    hand_over_whole()
    take_again()


def main() -> None:
    """Run the command with our arguments."""
    tune()
    (command,) = entry_points(group="console_scripts", name=COMMAND)
    sys.argv[0] = COMMAND
    sys.exit(command.load()())


if __name__ == "__main__":
    main()
