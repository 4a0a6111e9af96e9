"""Batches read ahead of a GPU by one thread, in the order they would have had without it."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from client.data.sampling import Batch, Sampler

_AHEAD = 4  # batches in the queue: two steps' worth of hiccups, and at 128 cubed x 4 channels 270 MB of memory
_POLL_S = 0.2
_LAST_READ_S = 60.0  # a read that hangs longer is left to die with the process


@contextmanager
def batches(sampler: Sampler, count: int, ahead: bool) -> Iterator[Iterator[Batch]]:
    """Iterate over the sampler's next `count` batches; exactly so many are drawn, unless it is left early.

    Args:
        sampler: where they come from.
        count: how many.
        ahead: read in a thread and pin the memory (for CUDA); else each batch is cut when it is asked for.

    An error of the sampler is raised from the iterator. The thread ends with the context.
    """
    if not ahead:
        yield (sampler.next() for _ in range(count))
        return
    ready: queue.Queue[Batch | Exception] = queue.Queue(maxsize=_AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(sampler, count, ready, stop), daemon=True)
    thread.start()
    try:
        yield _take(ready, count, thread)
    finally:
        stop.set()
        thread.join(_LAST_READ_S)


def _read(sampler: Sampler, count: int, ready: "queue.Queue[Batch | Exception]", stop: threading.Event) -> None:
    for _ in range(count):
        item: Batch | Exception
        try:
            item = _pinned(sampler.next())
        except Exception as error:  # noqa: BLE001 - the edge of a thread: it is raised where it is awaited
            item = error
        while not stop.is_set():
            try:
                ready.put(item, timeout=_POLL_S)
                break
            except queue.Full:
                continue
        if stop.is_set() or isinstance(item, Exception):
            return


def _take(ready: "queue.Queue[Batch | Exception]", count: int, thread: threading.Thread) -> Iterator[Batch]:
    for _ in range(count):
        while True:
            try:
                item = ready.get(timeout=_POLL_S)
                break
            except queue.Empty:
                if not thread.is_alive() and ready.empty():
                    raise RuntimeError("the reading thread ended without a batch") from None
        if isinstance(item, Exception):
            raise item
        yield item


def _pinned(batch: Batch) -> Batch:
    if not torch.cuda.is_available():
        return batch
    return replace(batch, image=batch.image.pin_memory(), label=batch.label.pin_memory())
