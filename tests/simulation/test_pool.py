"""Jobs in this process and in processes of their own; a process takes seconds to start, so there are few."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

from common.errors import FailureCode, FedmetsError, TrainingFailed
from simulation.pool import Workers, in_turn, result_of


@pytest.fixture(scope="module")
def processes() -> Iterator[Workers]:
    with Workers(2, threads=1) as workers:
        yield workers


def square(number: int) -> int:
    return number * number


def whoami() -> tuple[int, bool, int]:
    """Process, whether Ctrl-C is held back there, torch's threads."""
    return os.getpid(), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []), torch.get_num_threads()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def diverge() -> None:
    raise TrainingFailed(FailureCode.NOT_FINITE_LOSS, "step 3")


def hang() -> None:
    threading.Event().wait()


def test_one_worker_is_this_process() -> None:
    with Workers(1, threads=1) as workers:
        assert workers.submit(whoami).result()[0] == os.getpid()
        with pytest.raises(TrainingFailed):
            workers.submit(diverge).result()


def test_in_turn_gives_every_result_with_its_item() -> None:
    with Workers(1, threads=1) as workers:
        found = dict(in_turn(workers, square, range(7), lambda number: (number,)))
    assert found == {number: number * number for number in range(7)}


def test_in_turn_begins_no_job_before_the_last_ones_result_was_taken() -> None:
    begun: list[int] = []
    with Workers(1, threads=1) as workers:
        results = in_turn(workers, begun.append, (1, 2, 3), lambda number: (number,))
        next(results)
        assert begun == [1]


def test_worker_processes_leave_ctrl_c_to_their_parent(processes: Workers) -> None:
    process, held, threads = processes.submit(whoami).result(timeout=120)
    assert (process != os.getpid(), held, threads) == (True, True, 1)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_error_crosses_whole(processes: Workers) -> None:
    with pytest.raises(TrainingFailed, match="not-finite-loss: step 3") as caught:
        processes.submit(diverge).result(timeout=120)
    assert caught.value.code is FailureCode.NOT_FINITE_LOSS


def test_a_dead_worker_takes_its_own_job_alone_and_is_replaced(processes: Workers) -> None:
    doomed, other = processes.submit(die), processes.submit(square, 3)
    with pytest.raises(BrokenProcessPool):
        doomed.result(timeout=120)
    assert other.result(timeout=120) == 9
    assert [processes.submit(square, 4).result(timeout=120) for _ in range(3)] == [16, 16, 16]


def test_where_nothing_can_go_on_a_dead_worker_is_one_line(processes: Workers) -> None:
    doomed = processes.submit(die)
    wait([doomed], timeout=120)
    with pytest.raises(FedmetsError, match=r"a worker process died, .* --workers 1 if memory is short"):
        result_of(doomed)


def test_leaving_ends_a_job_that_hangs(processes: Workers) -> None:
    pid, _, _ = processes.submit(whoami).result(timeout=120)
    process = next(child for child in multiprocessing.active_children() if child.pid == pid)
    processes.submit(hang)
    processes.stop()
    # not join and is_alive: the executor's thread reaps the process too, and is_alive then says yes for a moment
    assert multiprocessing.connection.wait([process.sentinel], timeout=30) == [process.sentinel]
