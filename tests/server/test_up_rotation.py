"""Keys that were rotated while the aggregator is up and its disk is full: taken up once there is room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.launching import Program
from common.supervise import Supervisor
from common.supervisor_state import ProcessRecord
from server.provisioning import ServerFolder
from server.rotation import rotate_server
from server.up import KeysInUse, UpOptions, _Up
from server.up_record import run_folder
from tests.end_to_end.chaos.faults import filled, small_disk
from tests.trust import DAY_0, make_lab

ROOM_BYTES = 65_536


class Running:
    """A program that runs until it is stopped."""

    def poll(self) -> int | None:
        return None

    def stop(self, grace_s: float) -> int | None:
        return 0

    def records(self) -> tuple[ProcessRecord | None, ProcessRecord | None]:
        return None, None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerFolder]:
    """A federation whose run folder is on a disk of its own, of 64 kB."""
    server = make_lab(tmp_path).server
    with small_disk(run_folder(server), ROOM_BYTES):
        yield server


def test_a_full_disk_keeps_nothing_from_running_and_is_tried_again(server: ServerFolder) -> None:
    started: list[Program] = []
    said: list[str] = []

    def launch(program: Program, mark: str) -> Running:
        started.append(program)
        return Running()

    up = _Up(server, UpOptions(), 18000, {})
    with Supervisor(run_folder(server), lambda event: None, lambda: DAY_0, launch=launch) as supervisor:
        for program in up.programs():
            supervisor.start(program)
        keys = KeysInUse(up, supervisor, said.append)
        with filled(run_folder(server)):
            rotate_server(server, DAY_0)
            for _ in range(3):
                keys.follow()
                supervisor.poll()
            assert (keys.generation, len(started)) == (1, 3)
            assert [program.state for program in supervisor.programs()] == 3 * ["running"]
        keys.follow()
        keys.follow()
    assert (keys.generation, [program.name for program in started[3:]]) == (2, ["superlink", "gateway"])
    assert f"{server.path}/server/0002/loopback.key" in started[3].argv
    assert len(said) == 2 and "generation 2 cannot be taken up yet" in said[0] and "the disk is full" in said[0]
    assert "superlink and gateway start again" in said[1]
