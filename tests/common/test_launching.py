"""Programs under their guardian, with real processes: whatever happens, nothing of a program stays behind."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.errors import UserError
from common.launching import LARGEST_LOG_BYTES, Backoff, Launched, Program, bound_log, launch
from common.processes import send, with_variable
from common.supervisor_state import MARK

LEAVES_CHILDREN = "sleep 300 & (setsid sleep 300 &) ; exec sleep 300"
Start = Callable[..., Launched]


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def mark() -> str:
    return os.urandom(8).hex()


@pytest.fixture
def start(tmp_path: Path, mark: str) -> Iterator[Start]:
    started: list[Launched] = []

    def shell(script: str, grace_s: float = 10.0) -> Launched:
        program = Program("it", ("/bin/sh", "-c", script), dict(os.environ), tmp_path / "it.log", grace_s=grace_s)
        started.append(launch(program, mark))
        return started[-1]

    yield shell
    for launched in started:
        launched.kill()
    left = with_variable(MARK, mark)
    send(left, signal.SIGKILL)
    assert left == []


def alive(mark: str) -> int:
    return len(with_variable(MARK, mark))


def test_back_off_doubles_to_its_longest() -> None:
    assert [Backoff().delay_s(ends) for ends in (1, 2, 3, 9, 10, 5000)] == [1, 2, 4, 256, 300, 300]
    assert [Backoff(65.0, 1.5, 300.0).delay_s(ends) for ends in (1, 2, 3, 9)] == [65, 97.5, 146.25, 300]


def test_the_program_writes_to_its_log_and_its_code_comes_back(start: Start, tmp_path: Path) -> None:
    launched = start("echo out; echo err >&2; exit 3")
    wait_for(lambda: launched.poll() is not None)
    assert launched.poll() == 3
    assert (tmp_path / "it.log").read_text() == "out\nerr\n"
    assert (tmp_path / "it.log").stat().st_mode & 0o777 == 0o600


def test_a_signal_shows_in_the_code(start: Start) -> None:
    launched = start("kill -9 $$")
    wait_for(lambda: launched.poll() is not None)
    assert launched.poll() == 137


def test_what_a_program_leaves_behind_ends_with_it(start: Start, mark: str) -> None:
    launched = start("sleep 300 & (setsid sleep 300 &) ; sleep 0.1; exit 0")
    wait_for(lambda: launched.poll() is not None)
    assert (launched.poll(), alive(mark)) == (0, 0)


def test_stopping_asks_all_of_it_politely(start: Start, mark: str) -> None:
    launched = start(LEAVES_CHILDREN)
    wait_for(lambda: alive(mark) == 4)
    begin_s = time.monotonic()
    assert launched.stop(10.0) == 143
    assert (alive(mark), time.monotonic() - begin_s < 9.0) == (0, True)


def test_stopping_kills_what_does_not_listen(start: Start, mark: str) -> None:
    launched = start("trap '' TERM; sleep 300 & while true; do sleep 300; done", grace_s=0.2)
    wait_for(lambda: alive(mark) >= 4)
    assert launched.stop(0.2) == 137
    assert alive(mark) == 0


def test_a_killed_guardian_takes_the_program_along(start: Start, mark: str) -> None:
    launched = start(LEAVES_CHILDREN)
    wait_for(lambda: alive(mark) == 4)
    os.kill(launched.guardian.pid, signal.SIGKILL)
    wait_for(lambda: launched.poll() is not None)
    wait_for(lambda: alive(mark) == 0)
    assert launched.poll() == 137


def test_the_program_is_told_from_its_guardian(start: Start) -> None:
    launched = start("exec sleep 300")
    wait_for(lambda: launched.poll() is None and launched.process is not None)
    process, leader = launched.records()
    assert process is not None and leader is not None
    assert process.is_alive() and leader.is_alive()
    assert (leader.pid, os.getsid(process.pid)) == (launched.guardian.pid, launched.guardian.pid)
    assert not process.model_copy(update={"started_ticks": process.started_ticks - 1}).is_alive()


@pytest.mark.parametrize(
    ("argv0", "user", "text"),
    [
        ("/no/such/program", None, "it: no executable /no/such/program"),
        ("/bin/sh", "nobody-of-this-name", "it: no user 'nobody-of-this-name'"),
    ],
)
def test_refused_before_anything_starts(tmp_path: Path, argv0: str, user: str | None, text: str) -> None:
    with pytest.raises(UserError, match=text):
        launch(Program("it", (argv0,), {}, tmp_path / "it.log", user), "mark")
    assert not (tmp_path / "it.log").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_program_may_run_as_somebody_else(tmp_path: Path, mark: str) -> None:
    log = tmp_path / "it.log"
    program = Program("it", ("/bin/sh", "-c", "id -un; id -G"), dict(os.environ), log, user="nobody")
    launched = launch(program, mark)
    wait_for(lambda: launched.poll() is not None)
    name, groups = log.read_text().splitlines()
    assert (name, "0" in groups.split()) == ("nobody", False)


def test_a_large_log_is_put_aside_once(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    with log.open("wb") as file:
        file.truncate(LARGEST_LOG_BYTES)
    bound_log(log)
    assert not (tmp_path / "it.log.1").exists()
    with log.open("ab") as writer:
        writer.write(b"x")
        writer.flush()
        bound_log(log)
        writer.write(b"y")
    assert (log.read_bytes(), (tmp_path / "it.log.1").stat().st_size) == (b"y", LARGEST_LOG_BYTES + 1)
