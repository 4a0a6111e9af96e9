"""SIGTERM and SIGINT as a question that a loop asks, so that it ends between two steps and never within one."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass(slots=True)
class StopSignals:
    """Whether the process was asked to end.

    Attributes:
        received: the signals so far, in order.
    """

    pipe: tuple[int, int]
    received: list[signal.Signals] = field(default_factory=list)

    def wait(self, seconds: float) -> bool:
        """Wait until a signal has come, `seconds` at most; whether one has."""
        if not self.received:
            select.select([self.pipe[0]], [], [], seconds)
        return bool(self.received)

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """The signals' handler; call it for a stop that comes from elsewhere."""
        self.received.append(signal.Signals(number))
        with contextlib.suppress(BlockingIOError):  # full of earlier ones
            os.write(self.pipe[1], b"x")


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Within the block SIGTERM and SIGINT are noted and raise nothing; afterwards they do what they did before.

    Only in the main thread. A pipe carries the news, since a lock of `threading` must not be taken in a handler.
    """
    pipe = os.pipe()
    os.set_blocking(pipe[1], False)
    stops = StopSignals(pipe)
    before = {number: signal.signal(number, stops.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for end in pipe:
            os.close(end)
