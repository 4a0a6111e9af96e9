"""flower-supernode as installed, but a process that ends when its work does, and takes requests whole.

When the aggregator answers with something unforeseen, Flower's main loop returns and leaves the thread of its
Runtime API behind, which keeps the process alive and deaf for good. The same answer to its sign of life ends the
thread that gives it, and leaves a node that the aggregator takes for gone. A supervisor can only help one that
ends: so it does when its main loop or any thread of it does by an error.
"""

import contextlib
import os
import sys
import threading
from importlib.metadata import entry_points
from types import TracebackType

from client.pieces_as_they_come import hand_on_pieces
from common.whole_requests import hand_over_whole

COMMAND = "flower-supernode"
STARTING = "Starting Flower SuperNode"
LOOP_ENDED = 70


def main() -> None:
    """Run the command with our arguments; never returns."""
    # At once, before seconds of imports: what stands above this line in the log was said by an earlier SuperNode.
    with contextlib.suppress(OSError):  # on a full disk it goes on without
        print(STARTING, flush=True)
    hand_over_whole()
    hand_on_pieces()
    sys.excepthook, threading.excepthook = _end_with_loop, _end_with_thread
    (command,) = entry_points(group="console_scripts", name=COMMAND)
    sys.argv[0] = COMMAND
    command.load()()
    _end()


def _end_with_loop(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python itself would wait for the threads after an error, for ever."""
    try:
        sys.__excepthook__(kind, error, trace)
    finally:
        _end()


def _end_with_thread(what: threading.ExceptHookArgs) -> None:
    try:
        threading.__excepthook__(what)
    finally:
        _end()


def _end() -> None:
    """End now; on a full disk without the last words, which cannot be written then."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(LOOP_ENDED)


if __name__ == "__main__":
    main()
