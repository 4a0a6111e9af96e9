"""Worker processes for the simulation: jobs are plain functions with plain arguments.

Results never depend on the number of workers: every job is a pure function of its arguments and of files that
do not change, and computes with the plan's number of threads.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self, TypeVar

from client.training import use_threads
from common.plan import Plan

Result = TypeVar("Result")
Item = TypeVar("Item")

_POLL_S = 1.0


class Workers:
    """Runs jobs side by side in `count` processes of `threads` threads; with one worker, in this process.

    Use as a context manager: leaving it stops the processes, a hung job included. A worker that dies (killed,
    out of memory) fails the jobs in flight with BrokenProcessPool; the next submission starts new processes.
    """

    def __init__(self, count: int, threads: int) -> None:
        self.count = count
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.count == 1:
            use_threads(self._threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def submit(self, job: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start a job; its result or exception is in the future."""
        if self.count == 1:
            return _run_now(job, arguments)
        for _ in range(2):
            if self._pool is None:
                self._pool = _new_pool(self.count, self._threads)
            try:
                return self._pool.submit(job, *arguments)
            except BrokenProcessPool:
                self.stop()
        failed: Future[Result] = Future()
        failed.set_exception(BrokenProcessPool("worker processes do not start; is there enough memory?"))
        return failed

    def stop(self) -> None:
        """End the processes without waiting for work in flight."""
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())  # no public way to end a hung worker in 3.11
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        self._pool = None


def in_turn(
    workers: Workers,
    job: Callable[..., Result],
    items: Iterable[Item],
    arguments: Callable[[Item], Sequence[object]],
) -> Iterator[tuple[Item, Result]]:
    """Run one job per item side by side and yield (item, result) as they finish."""
    waiting: dict[Future[Result], Item] = {}
    remaining = iter(items)
    exhausted = False
    while waiting or not exhausted:
        # a short queue keeps memory level and lets one inline worker report progress job by job
        while not exhausted and len(waiting) < 2 * workers.count:
            item = next(remaining, None)
            if item is None:
                exhausted = True
                break
            waiting[workers.submit(job, *arguments(item))] = item
            if workers.count == 1:
                break
        done, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future.result()


def workers_for(plan: Plan, count: int) -> Workers:
    """Workers that compute as the plan says."""
    return Workers(count, plan.training.threads)


def _run_now(job: Callable[..., Result], arguments: Sequence[Any]) -> Future[Result]:
    future: Future[Result] = Future()
    try:
        future.set_result(job(*arguments))
    except Exception as error:  # noqa: BLE001  (as an executor does: whoever asks for the result gets the error)
        future.set_exception(error)
    return future


def _new_pool(count: int, threads: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        max_workers=count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(threads,),
    )


def _start_worker(threads: int) -> None:

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; only the parent decides
    use_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever: end with it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
