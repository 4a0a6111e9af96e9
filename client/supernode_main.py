"""flower-supernode as installed, but a process that ends when its work does, and takes requests whole.

When the aggregator answers with something unforeseen, Flower's main loop returns and leaves the thread of its
Runtime API behind, which keeps the process alive and deaf for good. A supervisor can only help one that ends.
"""

import os
import sys
from importlib.metadata import entry_points

from common.whole_requests import hand_over_whole

COMMAND = "flower-supernode"
LOOP_ENDED = 70


def main() -> None:
    """Run the command with our arguments; never returns."""
    hand_over_whole()
    (command,) = entry_points(group="console_scripts", name=COMMAND)
    sys.argv[0] = COMMAND
    command.load()()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(LOOP_ENDED)


if __name__ == "__main__":
    main()
