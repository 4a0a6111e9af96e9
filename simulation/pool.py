"""Worker processes for the simulation: jobs are plain functions with plain arguments.

Results never depend on the number of workers: every job is a pure function of its arguments and of files that
do not change, and computes with the plan's number of threads.
"""

import multiprocessing
import multiprocessing.connection
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from client.training import use_threads
from common.allocation import for_training
from common.errors import FedmetsError
from common.interrupts import interrupts_held
from simulation.logs import log_to

Result = TypeVar("Result")
Item = TypeVar("Item")

_POLL_S = 1.0


class Workers:
    """Runs jobs side by side in `count` processes of `threads` threads; with one worker, in this process.

    Use as a context manager: leaving it stops the processes, a hung job included. A worker that dies (killed,
    out of memory) fails the jobs that were given to it with BrokenProcessPool and no others; the next job gets
    a new process.

    Args:
        count: processes.
        threads: torch threads in each.
        log: file that takes what the sites' own code logs.
    """

    def __init__(self, count: int, threads: int, log: Path | None = None) -> None:
        self.count = count
        self._threads = threads
        self._log = log
        os.environ.update(for_training(os.environ))  # for the processes
        self._lanes = [_Lane(threads, log) for _ in range(count)] if count > 1 else []

    def __enter__(self) -> Self:
        if not self._lanes:
            use_threads(self._threads)
            log_to(self._log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if not self._lanes:
            log_to(None)

    def submit(self, job: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start a job in the process with the least to do; its result or exception is in the future."""
        if not self._lanes:
            return _run_now(job, arguments)
        return min(self._lanes, key=_Lane.load).submit(job, arguments)

    def stop(self) -> None:
        """End the processes without waiting for work in flight."""
        for lane in self._lanes:
            lane.stop()


class _Lane:
    """One worker process, made when first needed, and the jobs that it has been given.

    A process of its own executor: one executor over all of them would fail everybody's jobs when one dies.
    """

    def __init__(self, threads: int, log: Path | None) -> None:
        self._threads, self._log = threads, log
        self._executor: ProcessPoolExecutor | None = None
        self._jobs: list[Future[Any]] = []

    def load(self) -> int:
        """Jobs not finished yet."""
        self._jobs = [job for job in self._jobs if not job.done()]
        return len(self._jobs)

    def submit(self, job: Callable[..., Result], arguments: Sequence[Any]) -> Future[Result]:
        """Hand over a job, to a new process when the last one died; without one, a future that has failed."""
        for _ in range(2):
            if self._executor is None:
                self._executor = _new_executor(self._threads, self._log)
            try:
                with interrupts_held():
                    future = self._executor.submit(job, *arguments)
            except BrokenProcessPool:
                self.stop()
            else:
                self._jobs.append(future)
                return future
        failed: Future[Result] = Future()
        failed.set_exception(BrokenProcessPool("worker processes do not start"))
        return failed

    def stop(self) -> None:
        """End the process without waiting."""
        if self._executor is None:
            return
        processes = list((self._executor._processes or {}).values())  # a hung worker has no public end in 3.11
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        self._executor, self._jobs = None, []


def in_turn(
    workers: Workers,
    job: Callable[..., Result],
    items: Iterable[Item],
    arguments: Callable[[Item], Sequence[object]],
) -> Iterator[tuple[Item, Result]]:
    """Run one job per item side by side and yield (item, result) as they finish; raises as `result_of`."""
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
            yield waiting.pop(future), result_of(future)


def result_of(future: Future[Result]) -> Result:
    """A finished job's result, where nothing can go on without it.

    Raises:
        FedmetsError: its worker died. What the job itself raised is raised as it is.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        raise FedmetsError(
            "a worker process died, as when memory runs out; run the same command again to go on, with "
            "--workers 1 if memory is short"
        ) from None


def _run_now(job: Callable[..., Result], arguments: Sequence[Any]) -> Future[Result]:
    future: Future[Result] = Future()
    try:
        future.set_result(job(*arguments))
    except Exception as error:  # noqa: BLE001  (as an executor does: whoever asks for the result gets the error)
        future.set_exception(error)
    return future


def _new_executor(threads: int, log: Path | None) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(threads, log),
    )


def _start_worker(threads: int, log: Path | None) -> None:
    warnings.simplefilter("ignore")  # those of libraries, which every worker would print anew
    log_to(log)
    use_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever: end with it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
