"""Run a small federation, kill it at every single fsync, resume it, and print what came of each.

A program of its own, since it forks: each forked child runs until its n-th fsync and is killed there by SIGKILL.
"""

import json
import os
import signal
import sys
from pathlib import Path

from server.rounds import run_federation
from server.verify import verify_run
from tests.server.builders import FakeLink, make_plan, open_run


def run(folder: Path) -> str:
    result = run_federation(open_run(make_plan(rounds=2), folder), FakeLink(), lambda record: None)
    verify_run(folder)
    return f"{result.status} {result.model.record.model_sha256}"


def killed_at(count: int, folder: Path) -> bool:
    """Run in a forked child and kill it at its n-th fsync; False when it ended before that."""
    child = os.fork()
    if child == 0:
        kill_at_fsync(count)
        run(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def kill_at_fsync(count: int) -> None:
    remaining = count
    real = os.fsync

    def counting(handle: int) -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    os.fsync = counting  # type: ignore[assignment]


def main(folder: Path) -> None:
    undisturbed = run(folder / "undisturbed")
    resumed: list[str] = []
    while killed_at(len(resumed) + 1, folder / f"killed-{len(resumed) + 1}"):
        resumed.append(run(folder / f"killed-{len(resumed) + 1}"))
    print(json.dumps({"undisturbed": undisturbed, "resumed": resumed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
