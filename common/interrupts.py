"""Ctrl-C: held back while something is under way that must not be cut in two, and never lost."""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 0.05


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done; a process begun in it never sees one.

    Two uses. An interrupt inside the import of torch aborts the process instead of raising. And a worker process
    that is spawned in the block leaves the decision to its parent from its first moment on; ignoring the signal
    in its first line of ours comes seconds too late, after its imports.

    The mask is what a new process inherits; the handler is for the signal that reaches another thread of ours.
    Only the main thread is ever interrupted: in another one the block just runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # one that waited is noted here
        signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupts_not_lost() -> Iterator[None]:
    """Send a Ctrl-C again that Python had to drop.

    Where nothing can be raised (in a `__del__`, or the callback of a weak reference, as executors and finalisers
    have them) Python prints the KeyboardInterrupt as ignored and goes on: a long run would not end. Here it comes
    again a moment later, as often as needed.
    """
    before = sys.unraisablehook

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            before(dropped)
            return
        again = threading.Timer(_AGAIN_S, _thread.interrupt_main)  # at once, it would be raised in this very hook
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
