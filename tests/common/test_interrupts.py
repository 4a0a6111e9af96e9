import os
import signal
import threading
from collections.abc import Iterator

import pytest

from common.interrupts import interrupts_held


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As at a terminal, also where the signal is ignored, as by what a script starts with `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def another_thread() -> Iterator[None]:
    """A thread that takes the signal when the main one does not."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


def interrupted_in_the_block() -> bool:
    """Whether the block's rest ran after the interrupt, which must come when it is left."""
    rest_ran = False
    with pytest.raises(KeyboardInterrupt):
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            rest_ran = True
        raise AssertionError("the interrupt was lost")
    return rest_ran


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    assert interrupted_in_the_block()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("another_thread")
def test_an_interrupt_that_another_thread_takes_waits_as_well() -> None:
    assert interrupted_in_the_block()


def test_without_an_interrupt_nothing_changes() -> None:
    with interrupts_held():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_other_threads_are_left_alone() -> None:
    held: list[bool] = []

    def look() -> None:
        with interrupts_held():
            held.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert held == [False]
