"""What the daemon makes of its SuperNode's log.

One that runs and is taken for gone is started anew: once, and not while it is still starting. What an earlier one
said last is not told as news.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from client import daemon, supernode
from client.daemon import Daemon, log_file
from client.site_config import load_site_config
from client.site_folder import KeyFolder, SiteFolder
from common.errors import StorageError
from common.launching import Program
from common.supervise import Supervisor
from common.supervisor_state import ProcessRecord, ProgramRecord
from tests.trust import make_lab

SIGNED_IN = "INFO : Starting Flower SuperNode\nINFO : SuperNode ID: 1532\n"
DIED = "Exception in thread Thread-2 (_run):\nTraceback (most recent call last):\n  x\n"
FIRST_PID = 700
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Desk:
    """A supervisor that starts nothing, and counts."""

    since: datetime = LONG_AGO
    replaced: list[Program] = field(default_factory=list)

    def programs(self) -> tuple[ProgramRecord, ...]:
        process = ProcessRecord(pid=FIRST_PID + len(self.replaced), started_ticks=1)
        return (
            ProgramRecord(
                name=supernode.NAME,
                state="running",
                process=process,
                guardian=None,
                since=self.since,
                restarts=0,
                last_code=None,
            ),
        )

    def replace(self, program: Program) -> None:
        self.replaced.append(program)


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr("client.daemon.time.monotonic", clock)
    yield clock


def watch_of(root: Path, desk: Desk) -> tuple[daemon._Watch, Path]:
    """Of a joined site, and the log that it looks at."""
    site: SiteFolder = make_lab(root / "lab").add("north")
    (site.path / "site.toml").write_text('[data]\nadapter = "ucsf_bmsr"\nroot = "cases"\n')
    log = log_file(site, supernode.NAME)
    log.parent.mkdir()
    house = Daemon(site, load_site_config(site.path), "fed:8443", 9, root / "secret", None, os.environ)
    return daemon._Watch(house, cast("Supervisor", desk), site.joined()), log


def test_it_is_started_anew_once_and_again_when_it_falls_silent_again(tmp_path: Path, clock: Clock) -> None:
    desk = Desk()
    watch, log = watch_of(tmp_path, desk)

    def after(seconds: float, text: str) -> int:
        clock.seconds += seconds
        log.write_text(text)
        watch.look([])
        return len(desk.replaced)

    assert [after(5.0, SIGNED_IN), after(60.0, SIGNED_IN)] == [0, 0]
    assert after(5.0, SIGNED_IN + DIED) == 1
    assert [after(60.0, SIGNED_IN + DIED) for _ in range(5)] == 5 * [1]  # the new one has not said a word yet
    assert after(60.0, SIGNED_IN + DIED + SIGNED_IN) == 1
    assert after(60.0, SIGNED_IN + DIED + SIGNED_IN + DIED) == 2
    assert [program.name for program in desk.replaced] == 2 * [supernode.NAME]


def test_the_last_words_of_a_clean_stop_raise_no_alarm_at_the_next_start(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(since=datetime.now(UTC) + timedelta(days=1))
    watch, log = watch_of(tmp_path, desk)
    log.write_text(SIGNED_IN + "INFO : SuperNode terminated gracefully.\n")
    with caplog.at_level(logging.INFO, "client.daemon"):
        watch.look([])
        log.write_text(log.read_text() + SIGNED_IN)
        desk.since = LONG_AGO  # what is in the log now was written since
        clock.seconds += 5.0
        watch.look([])
    assert [record.getMessage() for record in caplog.records] == [
        "supernode: signing in",
        "supernode: connected to the aggregator",
    ]


def test_one_that_could_not_be_replaced_is_replaced_once_there_is_room(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a dead worker's reply meanwhile, for ever if nobody tried again."""
    desk, full = Desk(), [StorageError("/keys: the disk is full"), StorageError("/keys: the disk is full")]
    watch, log = watch_of(tmp_path, desk)
    log.write_text(SIGNED_IN)
    node = Daemon.node

    def on_a_full_disk(house: Daemon, keys: KeyFolder) -> Program:
        if full:
            raise full.pop()
        return node(house, keys)

    monkeypatch.setattr(Daemon, "node", on_a_full_disk)
    watch.look([daemon.WORKER])
    assert desk.replaced == [] and len(full) == 1
    for replaced in (0, 1, 1):
        clock.seconds += 10.0
        watch.look([])
        assert len(desk.replaced) == replaced
