"""A run between the command that begins it and the process that works on it, which Flower starts seconds later."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, RecordDict
from flwr.app.user_config import UserConfig

from common.audit import read_audit
from common.errors import AuditBroken, EnrollmentError, FedmetsError
from common.lock import exclusive
from server import app
from server.run_folder import RunFolder, RunProgress
from server.run_report import report_run
from server.running import begin_run, end_leftover, end_run, is_serverapp, watch_run
from server.superlink import FOLDER_VARIABLE
from tests.server.flower_double import FlowerDouble
from tests.server.test_serverapp_faults import BrokenGrid
from tests.trust import DAY_0
from tests.wired import BUNDLE, Wired, wire

LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Consortium:
    """A federation whose plan is signed, and a stand-in for Flower."""

    wired: Wired
    flower: FlowerDouble

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.wired.lab.server, self.wired.kept.body.plan_id)

    @property
    def progress(self) -> RunProgress:
        return self.run.progress() or pytest.fail("nothing is known of the run")

    @property
    def state(self) -> str:
        return report_run(self.wired.lab.server, self.wired.kept).state

    @property
    def said(self) -> str:
        server = self.wired.lab.server
        return "\n".join(report_run(server, self.wired.kept).lines(server))

    def start(self) -> int:
        return begin_run(self.wired.lab.server, self.wired.kept, self.flower.cli, 60.0, DAY_0)

    def stop(self) -> None:
        end_run(self.wired.lab.server, self.wired.kept, self.flower.cli, DAY_0)

    def left(self, **changes: object) -> None:
        """As a crash leaves the run's state."""
        self.run.make()
        was = RunProgress(phase="training", rounds=3, began_at=LONG_AGO, changed_at=LONG_AGO, flower_run=17)
        changed = was.model_copy(update=changes)
        self.run.write(changed, changed.changed_at)

    def process(self, number: int) -> None:
        """The ServerApp, as Flower starts it; the first thing it asks of Flower fails."""
        config: UserConfig = {"plan": self.wired.kept.body.plan_id, "mode": "train", "approval_deadline_s": 1.0}
        context = Context(number, 0, {}, RecordDict({"none": ConfigRecord({})}), config)
        app.main(BrokenGrid(FedmetsError("it asks")), context)

    def events(self) -> list[str]:
        """What the federation's log says of runs."""
        log = read_audit(self.wired.lab.server.audit_file)
        return [line.event for line in log if line.event.startswith("run-")]


@pytest.fixture
def consortium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Consortium:
    monkeypatch.setattr("server.bundle.write_bundle", lambda app: BUNDLE)
    made = Consortium(wire(tmp_path / "lab"), FlowerDouble(tmp_path / "flower"))
    monkeypatch.setenv(FOLDER_VARIABLE, str(made.wired.lab.server.path))
    return made


def test_a_second_start_is_refused_and_a_stop_ends_what_flower_has_not_begun(consortium: Consortium) -> None:
    assert consortium.start() == 17
    assert (consortium.state, consortium.progress.flower_run) == ("starting", 17)
    assert "starting, round 0 of 3" in consortium.said and "fedmets-server stop" in consortium.said
    with pytest.raises(EnrollmentError, match="is being started already; wait for it, or end it with: fedmets-se"):
        consortium.start()
    consortium.stop()
    assert (consortium.state, consortium.flower.runs) == ("stopped", {17: "finished:stopped"})
    assert consortium.events() == ["run-started", "run-stopped"]
    with pytest.raises(EnrollmentError, match="is not at work"):
        consortium.stop()


def test_what_was_stopped_or_begun_anew_does_not_begin_when_flower_starts_it_late(consortium: Consortium) -> None:
    consortium.start()
    consortium.stop()
    with pytest.raises(EnrollmentError, match=r"run 17 .* was stopped, begun anew or came too late; not begun"):
        consortium.process(17)
    assert consortium.state == "stopped"
    assert consortium.start() == 18
    with pytest.raises(EnrollmentError, match=r"run 17 .* not begun"):
        consortium.process(17)
    with pytest.raises(FedmetsError, match="it asks"):
        consortium.process(18)
    assert (consortium.progress.phase, consortium.progress.flower_run) == ("proposing", 18)
    assert consortium.events() == ["run-started", "run-stopped", "run-resumed"]


def test_a_process_that_comes_after_its_time_is_refused_as_status_has_said(consortium: Consortium) -> None:
    consortium.left(phase="starting")
    assert consortium.state == "interrupted"
    assert "Flower did not begin it within 180 s" in consortium.said and "fedmets-server resume" in consortium.said
    with pytest.raises(EnrollmentError, match="came too late"):
        consortium.process(17)


def test_cut_off_before_flowers_answer_was_written_it_begins_or_is_stopped(consortium: Consortium) -> None:
    consortium.left(phase="starting", flower_run=0, changed_at=datetime.now(UTC))
    with pytest.raises(EnrollmentError, match="is being started already"):
        consortium.start()
    consortium.stop()
    with pytest.raises(EnrollmentError, match="not begun"):
        consortium.process(17)
    consortium.left(phase="starting", flower_run=0, changed_at=datetime.now(UTC))
    with pytest.raises(FedmetsError, match="it asks"):
        consortium.process(17)
    assert consortium.progress.flower_run == 17


def test_a_start_that_flower_has_ended_already_need_not_be_waited_for(consortium: Consortium) -> None:
    consortium.start()
    consortium.flower.set(runs=[listed("finished:failed")])
    assert consortium.start() == 18


def test_a_leftover_that_never_began_is_ended_before_the_next_start(consortium: Consortium) -> None:
    consortium.start()
    consortium.left(phase="starting")  # the aggregator was killed, and is up again minutes later
    assert consortium.start() == 18
    assert consortium.flower.runs == {17: "finished:stopped", 18: "pending"}


def test_a_run_that_flower_refuses_says_so_and_can_be_begun_again(consortium: Consortium) -> None:
    consortium.flower.set(fail="no room")
    with pytest.raises(FedmetsError, match="no room"):
        consortium.start()
    assert consortium.state == "stopped" and "failed: no room" in consortium.said
    assert consortium.events() == ["run-started", "run-not-begun"]
    consortium.flower.set(fail="")
    assert consortium.start() == 17


def test_nothing_is_begun_whose_beginning_cannot_be_logged(consortium: Consortium) -> None:
    with consortium.wired.lab.server.audit_file.open("ab") as log:
        log.write(b"{}\n")
    with pytest.raises(AuditBroken, match="not an audit record"):
        consortium.start()
    assert consortium.flower.calls() == [] and consortium.run.progress() is None


def test_a_run_at_work_is_not_begun_twice(consortium: Consortium) -> None:
    consortium.left()
    with exclusive(consortium.run.path), pytest.raises(EnrollmentError, match="is at work already: training"):
        consortium.start()


def test_who_watches_sees_it_start_and_hears_when_flower_does_not_begin_it(consortium: Consortium) -> None:
    since = datetime.now(UTC)
    consortium.start()
    watching = watch_run(consortium.wired.lab.server, consortium.wired.kept, since, lambda: True)
    assert next(watching).state == "starting"
    late = since - timedelta(hours=1)
    consortium.left(phase="starting", changed_at=late)
    watching = watch_run(consortium.wired.lab.server, consortium.wired.kept, late, lambda: True)
    assert [(report.state, report.reason[:26]) for report in watching] == [
        ("interrupted", "Flower did not begin it wi")
    ]


def test_who_watches_a_run_that_is_being_stopped_hears_that_it_was(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the end of its process and the word of who stopped it, the run looks interrupted."""
    consortium.left()

    def settle(seconds: float) -> None:
        consortium.left(phase="ended", reason="stopped by the consortium")

    monkeypatch.setattr("server.running.time.sleep", settle)
    watching = watch_run(consortium.wired.lab.server, consortium.wired.kept, LONG_AGO, lambda: True)
    assert [(report.state, report.reason) for report in watching] == [("stopped", "stopped by the consortium")]


def listed(status: str) -> dict[str, object]:
    return {"run-id": "17", "status": status, "fab-hash": "ab", "status-details": ""}


@pytest.mark.parametrize(("status", "stops"), [("running", [["stop", "17", "fedmets"]]), ("finished:failed", [])])
def test_a_run_whose_process_is_gone_is_ended_at_flower_too(
    consortium: Consortium, status: str, stops: list[list[str]]
) -> None:
    consortium.left()
    consortium.flower.set(runs=[listed(status)])
    assert end_leftover(consortium.progress, consortium.flower.cli) is bool(stops)
    assert consortium.flower.calls()[1:] == stops


def test_a_run_that_never_began_leaves_nothing(consortium: Consortium) -> None:
    assert not end_leftover(None, consortium.flower.cli)
    assert consortium.flower.calls() == []


def test_only_a_serverapp_is_told_to_end(tmp_path: Path) -> None:
    """A number from the run's state may be another process's by now."""
    named = tmp_path / "serverapp"
    named.symlink_to("/bin/sleep")
    with subprocess.Popen([named, "30"]) as ours, subprocess.Popen(["/bin/sleep", "30"]) as other:
        told = [is_serverapp(process.pid) for process in (ours, other)]
        ours.kill()
        other.kill()
    assert told == [True, False] and not is_serverapp(0)
