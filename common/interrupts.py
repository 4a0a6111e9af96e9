"""Ctrl-C, held back while something is under way that must not be cut in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
