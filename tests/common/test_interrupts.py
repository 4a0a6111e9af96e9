import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from common.interrupts import interrupts_held, interrupts_not_lost


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


class InterruptedAtItsEnd:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_python_drops_comes_again() -> None:
    """Nothing can be raised in a __del__: there, and in the callbacks of weak references, Python drops it."""
    with pytest.raises(KeyboardInterrupt), interrupts_not_lost():
        thing = InterruptedAtItsEnd()
        del thing
        time.sleep(10.0)
        raise AssertionError("the interrupt was lost")


def test_other_errors_that_python_drops_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda dropped: told.append(dropped.exc_type))

    class Breaks:
        def __del__(self) -> None:
            raise ValueError

    with interrupts_not_lost():
        thing = Breaks()
        del thing
    assert told == [ValueError]
