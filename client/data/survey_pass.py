"""One pass over a site's cases: several at a time, in order, until all are done or the time is up."""

import queue
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from client.bounded import Begun
from client.data.case import Case
from common.errors import CaseRejected

_GRACE_S = 1.0
Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class Found(Generic[Seen]):
    """What a pass saw, by exam."""

    results: dict[str, Seen] = field(default_factory=dict)
    faults: dict[str, CaseRejected] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass and its time.

    Attributes:
        name: for whoever watches.
        left_s: asked before every case; at 0 no further one is begun.
        tell: hears "NAME 12/300" as often, from several threads.
        threads: how many cases are looked at at a time.
    """

    name: str
    left_s: Callable[[], float]
    tell: Callable[[str], None]
    threads: int

    def over(self, cases: Sequence[Case], look: Callable[[Case], Seen]) -> Found[Seen]:
        """Look at the cases, in this order.

        What is under way when the time is up has a second more. After that it is left behind and not counted: a
        file server that hangs, or one huge file, must not cost what is known of all the others.

        Raises:
            Whatever `look` raises but CaseRejected.
        """
        end_s = time.monotonic() + max(self.left_s(), 0.0) + _GRACE_S
        found: Found[Seen] = Found()
        waiting: queue.SimpleQueue[tuple[int, Case]] = queue.SimpleQueue()
        for numbered in enumerate(cases, start=1):
            waiting.put(numbered)

        def work() -> None:
            while self.left_s() > 0.0:
                try:
                    number, case = waiting.get_nowait()
                except queue.Empty:
                    return
                self.tell(f"{self.name} {number}/{len(cases)}")
                try:
                    found.results[case.exam] = look(case)
                except CaseRejected as fault:
                    found.faults[case.exam] = fault

        for worker in [Begun(work) for _ in range(min(self.threads, len(cases)))]:
            with suppress(TimeoutError):
                worker.result(end_s - time.monotonic())
        return Found(dict(found.results), dict(found.faults))


def spread(count: int) -> list[int]:
    """The positions 0 to `count` - 1 in an order of which every beginning is spread evenly.

    Van der Corput's: the bits of 0, 1, 2, ... read backwards. 8 positions are 0, 4, 2, 6, 1, 5, 3, 7.
    """
    bits = max(count - 1, 1).bit_length()
    backwards = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [position for position in backwards if position < count]
