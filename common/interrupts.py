"""Ctrl-C, held back while something is under way that must not be cut in two."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done; processes and threads begun in it never see it.

    Two uses. An interrupt inside the import of torch aborts the process instead of raising. And a worker process
    that is spawned in the block leaves the decision to its parent from its first moment on; ignoring the signal
    in its first line of ours comes seconds too late, after its imports.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
