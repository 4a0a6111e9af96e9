"""How a run stands, told from its files and from whether anybody works on it."""

import contextlib
from pathlib import Path

import pytest

from common.errors import RunStalled
from common.lock import exclusive
from server.records import RunStatus
from server.rounds import run_federation
from server.run_folder import RunFolder, RunProgress
from server.run_report import report_run
from tests.server.builders import FakeLink, make_update, open_run
from tests.trust import DAY_0
from tests.wired import Wired, wire


@pytest.fixture
def lab(tmp_path: Path) -> Wired:
    return wire(tmp_path)


def began(lab: Wired, phase: str = "training", status: RunStatus | None = None, reason: str = "") -> RunFolder:
    run = RunFolder(lab.lab.server, lab.kept.body.plan_id)
    run.make()
    progress = RunProgress.from_json(
        f'{{"phase":"{phase}","rounds":3,"began_at":"{DAY_0.isoformat()}","changed_at":"{DAY_0.isoformat()}"}}'
    )
    run.write(progress.model_copy(update={"status": status, "reason": reason}), DAY_0)
    return run


def told(lab: Wired) -> str:
    return "\n".join(report_run(lab.lab.server, lab.kept).lines(lab.lab.server))


def test_a_run_whose_process_died_is_interrupted_and_resume_is_named(lab: Wired) -> None:
    began(lab)
    assert "interrupted, round 0 of 3" in told(lab)
    assert "no committed round is lost; go on with: fedmets-server resume" in told(lab)


def test_a_run_at_work_says_what_it_does(lab: Wired) -> None:
    run = began(lab)
    with exclusive(run.path):
        assert report_run(lab.lab.server, lab.kept).state == "training"


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        (RunStatus.COMPLETED, "", "completed"),
        (RunStatus.FAILED, "not approved", "failed"),
        (None, "stopped by the consortium", "stopped"),
    ],
)
def test_how_it_ended_and_why(lab: Wired, status: RunStatus | None, reason: str, state: str) -> None:
    began(lab, "ended", status, reason)
    assert report_run(lab.lab.server, lab.kept).state == state
    assert reason in told(lab)


def test_a_run_that_was_not_approved_can_be_resumed(lab: Wired) -> None:
    began(lab, "ended", RunStatus.FAILED, "every site has decided")
    assert "see the reason, then: fedmets-server resume" in told(lab)


def test_without_a_round_left_nothing_is_said_that_resume_would_refuse(lab: Wired) -> None:
    """Also where the process was killed between its last commit and its last words."""
    run = began(lab)
    behind(lab, run)
    for phase, status in (("ended", RunStatus.FAILED), ("training", None)):
        began(lab, phase, status)
        assert "failed, round 3 of 3" in told(lab) and "no round met its quorum" in told(lab)
        assert "sign a plan of another name with: fedmets-server plan" in told(lab) and "resume" not in told(lab)


def behind(lab: Wired, run: RunFolder) -> None:
    """All three rounds, none of which moved the model."""
    nobody = FakeLink(behaviour=dict.fromkeys(lab.plan.sites, lambda site, task: None))
    with contextlib.suppress(RunStalled):  # not after the last round
        run_federation(open_run(lab.plan, run.path), nobody, lambda record: None)


def test_the_last_round_is_told_from_its_commit(lab: Wired) -> None:
    run = began(lab, "ended", RunStatus.PARTIAL)
    silent = FakeLink(behaviour={"west": lambda site, task: None, "north": make_update})
    run_federation(open_run(lab.plan, run.path), silent, lambda record: None)
    report = report_run(lab.lab.server, lab.kept)
    assert report.round_id == 3
    assert "round 3: north accepted, south accepted, east accepted, west late" in told(lab)
