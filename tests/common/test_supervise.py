"""The supervisor's decisions, with an injected clock and programs that exist on paper alone."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest

from common.errors import OutputError, StorageError, UserError
from common.launching import Backoff, Program
from common.supervise import EventKind, ProgramEvent, Supervisor
from common.supervisor_state import ProcessRecord, read_state

DAY_0 = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass
class Paper:
    """A program that ends when the test says so."""

    name: str
    stopped: list[str]
    code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def stop(self, grace_s: float) -> int | None:
        self.stopped.append(self.name)
        self.code = 143
        return self.code

    def records(self) -> tuple[ProcessRecord | None, ProcessRecord | None]:
        return ProcessRecord(pid=2**22 + 1, started_ticks=1), ProcessRecord(pid=2**22 + 2, started_ticks=1)


@dataclass
class Bench:
    """A supervisor with everything around it in the test's hands."""

    folder: Path
    now_s: float = 0.0
    events: list[ProgramEvent] = field(default_factory=list)
    started: list[Paper] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    refuse: bool = False

    def supervisor(self) -> Supervisor:
        clock = lambda: DAY_0 + timedelta(seconds=self.now_s)  # noqa: E731
        return Supervisor(self.folder, self.events.append, clock, lambda: self.now_s, self.launch)

    def launch(self, program: Program, mark: str) -> Paper:
        if self.refuse:
            raise UserError(f"{program.name}: not today")
        self.started.append(Paper(program.name, self.stopped))
        return self.started[-1]

    def program(self, name: str, backoff: Backoff | None = None) -> Program:
        return Program(name, ("/bin/true",), {}, self.folder / f"{name}.log", backoff=backoff or Backoff())

    def waits(self, supervisor: Supervisor, ends: int, ran_s: float = 1.0) -> list[float]:
        """How long the last started program waits after each of so many ends."""
        found = []
        for _ in range(ends):
            self.now_s += ran_s
            self.started[-1].code = 1
            supervisor.poll()
            ended_s, before = self.now_s, len(self.started)
            while len(self.started) == before:
                self.now_s += 0.5
                supervisor.poll()
            found.append(self.now_s - ended_s)
        return found

    @classmethod
    def at(cls, folder: Path) -> Self:
        return cls(folder / "run")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.at(tmp_path)


def test_each_end_in_a_row_waits_longer_and_a_steady_run_forgives(bench: Bench) -> None:
    with bench.supervisor() as supervisor:
        supervisor.start(bench.program("it", Backoff(1.0, 2.0, 10.0, steady_s=100.0)))
        assert bench.waits(supervisor, 6) == [1, 2, 4, 8, 10, 10]
        assert bench.waits(supervisor, 2, ran_s=100.0) == [1, 1]
        assert supervisor.programs()[0].restarts == 8


def test_a_program_that_may_not_come_back_within_a_minute_waits_longer_than_that(bench: Bench) -> None:
    with bench.supervisor() as supervisor:
        supervisor.start(bench.program("supernode", Backoff(first_s=65.0)))
        assert bench.waits(supervisor, 2) == [65, 130]


def test_what_happens_is_said_and_stands_in_the_folder(bench: Bench) -> None:
    with bench.supervisor() as supervisor:
        supervisor.start(bench.program("it"))
        bench.started[0].code, bench.now_s = 7, 5.0
        supervisor.poll()
        state = read_state(bench.folder)
        assert state is not None and state.is_current()
        it = state.program("it")
        assert it is not None
        assert (it.state, it.last_code, it.restarts, it.process) == ("waiting", 7, 0, None)
        assert it.since == DAY_0 + timedelta(seconds=5)
        bench.now_s = 6.0
        supervisor.poll()
    assert [str(event) for event in bench.events] == [
        "it started",
        f"it ended: code 7 after 5 s, starts again in 1 s; its log is {bench.folder / 'it.log'}",
        "it restarted",
        "it stopped: code 143",
    ]
    after = read_state(bench.folder)
    assert after is not None and after.programs == ()


def test_programs_end_in_reverse_order_also_after_an_error(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), bench.supervisor() as supervisor:
        for name in ("superlink", "superexec", "gateway"):
            supervisor.start(bench.program(name))
        raise ZeroDivisionError
    assert bench.stopped == ["gateway", "superexec", "superlink"]


def test_a_start_that_fails_at_first_is_raised_and_later_is_tried_again(bench: Bench) -> None:
    with bench.supervisor() as supervisor:
        bench.refuse = True
        with pytest.raises(UserError, match="not today"):
            supervisor.start(bench.program("it"))
        bench.refuse = False
        supervisor.start(bench.program("it"))
        bench.started[0].code = 1
        supervisor.poll()
        bench.refuse, bench.now_s = True, 1.0
        supervisor.poll()
        assert bench.events[-1].kind is EventKind.NOT_STARTED
        assert "not today; next try in 2 s" in str(bench.events[-1])
        bench.refuse, bench.now_s = False, 3.0
        supervisor.poll()
        assert (len(bench.started), supervisor.programs()[0].state) == (2, "running")


def test_a_replaced_program_starts_at_once(bench: Bench) -> None:
    with bench.supervisor() as supervisor:
        supervisor.start(bench.program("it"))
        supervisor.replace(bench.program("it", Backoff(first_s=9.0)))
        assert (bench.stopped, len(bench.started)) == (["it"], 2)
        assert bench.waits(supervisor, 1) == [9]


def test_a_folder_has_one_supervisor(bench: Bench) -> None:
    with bench.supervisor(), pytest.raises(OutputError, match=r"run already \(process \d+\); stop that first"):
        bench.supervisor().__enter__()
    with bench.supervisor():
        pass


def test_a_full_disk_does_not_end_the_programs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise StorageError(f"{path}: the disk is full")

    with bench.supervisor() as supervisor:
        supervisor.start(bench.program("it"))
        with monkeypatch.context() as patch:
            patch.setattr("common.supervise.write_durably", full)
            bench.started[0].code = 1
            supervisor.poll()
            assert bench.events[-1].kind is EventKind.NOT_RECORDED
        bench.now_s = 1.0
        supervisor.poll()
        state = read_state(bench.folder)
        assert state is not None and [program.restarts for program in state.programs] == [1]
