"""What must be done at the SuperLink again and again while the aggregator is up, in a thread of its own.

Nodes follow the registry every two seconds. Finished runs are listed every ten minutes, which is when Flower
deletes the messages and models that they left in its database; the next run uses the space.

A thread, since one call of Flower's command line takes two seconds, for which the supervisor must not wait.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from common.errors import FedmetsError
from server.flower_cli import FlowerCli
from server.flower_runs import list_runs
from server.nodes import Changes, reconcile
from server.provisioning import ServerFolder

_NODES_EVERY_S = 2.0
_FIRST_TRY_EVERY_S = 0.25
_RUNS_EVERY_S = 600.0
_JOIN_S = 10.0


class Upkeep:
    """Works from the entry of its block to the exit.

    Args:
        folder: whose registry counts.
        cli: the SuperLink's; given up at the exit.
        clock: which keys count now.
        is_healthy: asked until SuperLink answers for the first time.
        say: told of every change, and of an error once until another one comes.
    """

    def __init__(
        self,
        folder: ServerFolder,
        cli: FlowerCli,
        clock: Callable[[], datetime],
        is_healthy: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._cli, self._clock = folder, cli, clock
        self._is_healthy, self._say = is_healthy, say
        self._settled = threading.Event()
        self._relist, self._said = True, ""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    @property
    def settled(self) -> bool:
        """Whether the nodes were brought in line at least once since the start."""
        return self._settled.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cli.given_up.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        over, runs_due_s = self._cli.given_up, time.monotonic()
        while not over.wait(_NODES_EVERY_S if self.settled else _FIRST_TRY_EVERY_S):
            if not self.settled and not self._is_healthy():
                continue
            try:
                self._follow_registry()
                if time.monotonic() >= runs_due_s:
                    runs_due_s = time.monotonic() + _RUNS_EVERY_S
                    list_runs(self._cli)
                self._said = ""
            except FedmetsError as error:
                self._relist = True
                if str(error) != self._said and not over.is_set():
                    self._said = str(error)
                    self._say(f"superlink: {error}; tried again in {_NODES_EVERY_S:g} s")

    def _follow_registry(self) -> None:
        changes = reconcile(self._folder, self._cli, self._clock(), self._relist)
        self._relist = False
        self._settled.set()
        if changes != Changes():
            self._say(f"nodes: {changes}")
