"""A supervisor in a process of its own, ended in every way there is; then nothing of it may be left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.processes import boot_id, send, with_variable
from common.supervisor_state import (
    MARK,
    ProcessRecord,
    ProgramRecord,
    SupervisorRecord,
    end_leftovers,
    read_state,
    record_of,
)
from tests.common.test_launching import wait_for
from tests.common.test_supervise import DAY_0

SUPERVISOR = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from common.launching import Program
from common.stopping import stop_signals
from common.supervise import Supervisor

folder = Path(sys.argv[1])
scripts = {"deep": "sleep 300 & (setsid sleep 300 &) ; exec sleep 300", "crashing": "sleep 300 & exit 3"}
with stop_signals() as stops, Supervisor(folder, print, lambda: datetime.now(UTC)) as supervisor:
    for name, script in scripts.items():
        supervisor.start(Program(name, ("/bin/sh", "-c", script), dict(os.environ), folder / "log"))
    while not stops.wait(0.05):
        supervisor.poll()
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE) as process:
        try:
            wait_for(lambda: len(of_folder(tmp_path)) >= 4)
            wait_for(lambda: (state := read_state(tmp_path)) is not None and len(state.programs) == 2)
            yield process
        finally:
            process.kill()
    try:
        wait_for(lambda: of_folder(tmp_path) == [])
    finally:
        send(of_folder(tmp_path), signal.SIGKILL)


def of_folder(folder: Path) -> list[int]:
    state = read_state(folder)
    return with_variable(MARK, state.mark) if state is not None else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_ends_everything_first(
    process: "subprocess.Popen[bytes]", tmp_path: Path, number: signal.Signals
) -> None:
    mark = (read_state(tmp_path) or pytest.fail("no state")).mark
    process.send_signal(number)
    assert process.wait(20) == 0
    assert with_variable(MARK, mark) == []


def test_killed_it_leaves_nothing(process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    process.kill()
    assert process.wait(20) == -signal.SIGKILL
    wait_for(lambda: of_folder(tmp_path) == [])


def test_the_next_supervisor_ends_what_all_guardians_left(tmp_path: Path) -> None:
    mark = os.urandom(8).hex()
    environment = {**os.environ, MARK: f"{mark}.it."}
    with subprocess.Popen(["sleep", "300"], env=environment, start_new_session=True) as left:
        try:
            program = record_for(left.pid)
            assert end_leftovers(record(mark, program)) == 1
            assert left.wait(20) == -signal.SIGKILL
        finally:
            left.kill()


def test_a_number_that_is_another_process_now_is_never_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as stranger:
        try:
            own = record_for(stranger.pid)
            recycled = ProcessRecord(pid=own.pid, started_ticks=own.started_ticks - 1)
            assert end_leftovers(record("no-such-mark", recycled)) == 0
            other_boot = record("no-such-mark", own).model_copy(update={"boot": "another"})
            assert end_leftovers(other_boot) == 0
            assert stranger.poll() is None
        finally:
            stranger.kill()


def record_for(pid: int) -> ProcessRecord:
    return record_of(pid) or pytest.fail("no such process")


def record(mark: str, process: ProcessRecord) -> SupervisorRecord:
    program = ProgramRecord(
        name="it", state="running", process=process, guardian=process, since=DAY_0, restarts=0, last_code=None
    )
    gone = ProcessRecord(pid=2**22 + 1, started_ticks=1)
    return SupervisorRecord(mark=mark, boot=boot_id(), supervisor=gone, programs=(program,))
