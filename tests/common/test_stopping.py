import os
import signal
import time

from common.stopping import stop_signals


def test_a_signal_is_noted_and_ends_the_wait() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with stop_signals() as stops:
        assert not stops.wait(0.0)
        os.kill(os.getpid(), signal.SIGTERM)
        begin_s = time.monotonic()
        assert stops.wait(30.0)
        assert time.monotonic() - begin_s < 20.0
        os.kill(os.getpid(), signal.SIGINT)
        assert stops.received == [signal.SIGTERM, signal.SIGINT]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_more_signals_than_the_pipe_holds_do_no_harm() -> None:
    with stop_signals() as stops:
        for _ in range(70_000):
            stops.note(signal.SIGTERM)
        assert stops.wait(1.0)
