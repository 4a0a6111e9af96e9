import os
import signal

import pytest

from common.interrupts import interrupts_held


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt):
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            reached = True
        raise AssertionError("the interrupt was lost")
    assert reached
