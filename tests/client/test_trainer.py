"""The training process dies, hangs, runs out of memory or has to stop: one failed outcome each, and no more."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from client.round import train_round
from client.trainer import Trainer
from common.errors import FailureCode, RefusalCode
from common.processes import process_info
from common.protocol import SiteFailed, SiteRefused, SiteUpdate
from tests.client.flower_lab import wait_for
from tests.client.test_policy import PLAN, SITE, TASK


@contextmanager
def trainer(mode: str, stopping: bool = False, grace_s: float = 30.0) -> Iterator[Trainer]:
    command = (sys.executable, "-m", "tests.client.trainer_stub", mode)
    made = Trainer("north", command, lambda: stopping, grace_s)
    try:
        yield made
    finally:
        made.close()
        assert made.pid is None


def failed(code: FailureCode) -> SiteFailed:
    return SiteFailed("north", 1, code)


def is_gone(pid: int) -> bool:
    return process_info(pid) is None


def test_it_trains_as_a_function_call_would_and_is_warm_between_rounds() -> None:
    with trainer("site") as real:
        real.warm(PLAN)
        pid = real.pid
        replies = [real.train(replace(TASK, round_id=number), PLAN, 60.0) for number in (1, 2)]
        assert real.pid == pid
        refusal = real.train(replace(TASK, plan_id="0" * 64, round_id=9), PLAN, 60.0)
    for number, reply in enumerate(replies, start=1):
        expected = train_round(replace(TASK, round_id=number), SITE)
        assert isinstance(reply, SiteUpdate)
        assert reply.delta.sha256() == expected.delta.sha256()
        assert (reply.report.steps, reply.report.incoming) == (3, expected.report.incoming)
    assert refusal == SiteRefused("north", 9, RefusalCode.STALE_ROUND)


def test_a_child_killed_in_mid_task_is_one_failure_and_the_next_task_gets_a_new_one() -> None:
    with trainer("hangs") as hanging:
        replies: list[object] = []
        work = threading.Thread(target=lambda: replies.append(hanging.train(TASK, PLAN, 60.0)))
        work.start()
        wait_for(lambda: hanging.pid is not None, 10)
        first = hanging.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        work.join(20)
        assert replies == [failed(FailureCode.WORKER_DIED)]
        hanging.warm(PLAN)
        assert hanging.pid not in (None, first)


def test_a_crash_is_a_failure_every_time() -> None:
    with trainer("dies") as dying:
        for _ in range(2):
            assert dying.train(TASK, PLAN, 60.0) == failed(FailureCode.WORKER_DIED)
            assert dying.pid is None


def test_past_the_deadline_the_child_is_killed() -> None:
    with trainer("hangs") as hanging:
        hanging.warm(PLAN)
        pid = hanging.pid
        assert pid is not None
        assert hanging.train(TASK, PLAN, 0.2) == failed(FailureCode.DEADLINE)
        assert is_gone(pid)


def test_when_the_worker_is_to_end_a_task_has_its_grace_and_no_more() -> None:
    with trainer("hangs", stopping=True, grace_s=0.2) as hanging:
        assert hanging.train(TASK, PLAN, 60.0) == failed(FailureCode.SITE_STOPPED)


def test_a_second_lack_of_memory_in_a_row_makes_a_new_child() -> None:
    with trainer("full") as full:
        pids = []
        for _ in range(3):
            full.warm(PLAN)
            pids.append(full.pid)
            assert full.train(TASK, PLAN, 60.0) == failed(FailureCode.OUT_OF_MEMORY)
    assert pids[0] == pids[1] != pids[2]


def test_a_command_that_does_not_start_is_a_failure() -> None:
    broken = Trainer("north", (sys.executable, "-c", "raise SystemExit(3)"))
    assert broken.train(TASK, PLAN, 20.0) == failed(FailureCode.WORKER_DIED)
    broken.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
def test_the_child_dies_with_the_process_that_started_it() -> None:
    script = (
        "import sys, time; from client.trainer import Trainer; from common.plan import Plan\n"
        "plan = Plan(name='tiny', sequences=('t1c',), sites=('north',))\n"
        "t = Trainer('north', (sys.executable, '-m', 'tests.client.trainer_stub', 'hangs')); t.warm(plan)\n"
        "print(t.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            assert not is_gone(child)
        finally:
            parent.kill()
        parent.wait(10)
    wait_for(lambda: is_gone(child), 20)
