"""The record of an aggregator that is up, on a disk that has filled up meanwhile."""

from pathlib import Path

import pytest

from common.errors import StorageError
from common.supervisor_state import ProcessRecord
from server import up
from server.provisioning import ServerFolder
from server.up_record import UpRecord
from tests.trust import DAY_0


def record(superlink_pid: int) -> UpRecord:
    return UpRecord(
        process=ProcessRecord(pid=700, started_ticks=1),
        boot="b",
        pids={"superlink": superlink_pid},
        superlink_port=18000,
        gateway_port=8443,
        generation=1,
        ready_at=DAY_0,
    )


def test_a_full_disk_ends_no_aggregator_that_runs_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[UpRecord] = []
    room = [False, False, True]

    def write(folder: ServerFolder, one: UpRecord) -> None:
        if not room.pop(0):
            raise StorageError("run: cannot be written: the disk is full")
        written.append(one)

    monkeypatch.setattr(up, "write_up", write)
    folder, before, after = ServerFolder(tmp_path), record(701), record(702)
    with pytest.raises(StorageError, match="disk is full"):
        up._keep(folder, None, before)
    assert up._keep(folder, before, after) is before
    assert up._keep(folder, before, after) is after
    assert up._keep(folder, after, record(702)) == after
    assert written == [after]
