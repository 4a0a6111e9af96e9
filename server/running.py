"""Beginning, stopping and watching a plan's run at an aggregator that is up."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from common.audit import JSON
from common.errors import EnrollmentError, FedmetsError
from common.lock import exclusive
from server.flower_cli import FlowerCli
from server.flower_runs import FlowerRun, list_runs, stop_run, submit_run
from server.plans import KeptPlan
from server.provisioning import ServerFolder
from server.run_folder import RunFolder
from server.run_report import RunReport, report_run
from server.superlink import flower_folder

_POLL_S = 1.0
_STOP_WITHIN_S = 60.0
_BEGIN_WITHIN_S = 120.0
_WAIT_S = 30.0
_NOTICED_WITHIN_S = 15.0  # a site asks for content that is not there every 10 s, and needs a moment to begin anew


def begin_run(
    folder: ServerFolder, kept: KeptPlan, cli: FlowerCli, approval_deadline_s: float, now: datetime
) -> int:
    """Hand the plan to Flower, which starts our ServerApp; from its last committed round, where there is one.

    Returns:
        Flower's own number of the run.

    Raises:
        EnrollmentError: the run is at work already, or was completed.
        FedmetsError: Flower refuses it, or the app bundle is another one than the signed plan names.
    """
    report = report_run(folder, kept)
    if report.state in ("proposing", "training"):
        raise EnrollmentError(f"run {kept.body.plan_id[:12]} is at work already: {report.state}")
    if report.round_id == report.rounds:
        raise EnrollmentError(
            f"run {kept.body.plan_id[:12]} has all its {report.rounds} rounds; "
            "for more, sign a plan of another name"
        )
    if end_leftover(RunFolder(folder, kept.body.plan_id), cli):
        time.sleep(_NOTICED_WITHIN_S)
    number = _submit(folder, kept, cli, {"mode": "train", "approval_deadline_s": approval_deadline_s})
    event = "run-started" if report.state == "not started" else "run-resumed"
    details: dict[str, JSON] = {"plan_id": kept.body.plan_id, "flower_run": number}
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now).record(event, report.round_id, details)
    return number


def end_leftover(run: RunFolder, cli: FlowerCli) -> bool:
    """Stop what Flower still takes for a run although its process is gone; says whether there was one.

    Flower itself would find out a minute after the aggregator died. Until then sites wait for content that will
    never come, and then begin anew: a round sent to them meanwhile would be lost at every one of them.

    Raises:
        FedmetsError: Flower refuses.
    """
    progress = run.progress()
    number = progress.flower_run if progress is not None else 0
    if not number or run.at_work() or all(one.run_id != number for one in _going_on(cli)):
        return False
    stop_run(cli, number)
    return True


def send_release(folder: ServerFolder, kept: KeptPlan, cli: FlowerCli) -> int:
    """Have the signed model sent to the plan's sites that are signed in; returns Flower's number of that run."""
    return _submit(folder, kept, cli, {"mode": "release"})


def end_run(folder: ServerFolder, kept: KeptPlan, cli: FlowerCli, now: datetime) -> None:
    """Stop a run; the round under way is lost, the committed ones stand.

    Raises:
        EnrollmentError: it is not at work.
        FedmetsError: its process does not end.
    """
    run = RunFolder(folder, kept.body.plan_id)
    progress = run.progress()
    if progress is None or not run.at_work():
        raise EnrollmentError(
            f"run {kept.body.plan_id[:12]} is not at work; see: fedmets-server status {folder.path}"
        )
    if progress.flower_run and any(one.run_id == progress.flower_run for one in _going_on(cli)):
        stop_run(cli, progress.flower_run)
    asked_s = time.monotonic()
    while run.at_work():
        waited_s = time.monotonic() - asked_s
        if waited_s > _STOP_WITHIN_S:
            raise FedmetsError(
                f"process {progress.process_id} of the run does not end; see {flower_folder(folder).path}"
            )
        if waited_s > _STOP_WITHIN_S / 2 and progress.process_id:
            os.kill(progress.process_id, signal.SIGTERM)
        time.sleep(_POLL_S)
    last = run.progress() or progress
    stopped = {"phase": "ended", "status": None, "reason": "stopped by the consortium", "fault": None}
    run.write(last.model_copy(update=stopped), now)
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now).record("run-stopped", last.round_id, {"plan_id": kept.body.plan_id})


def watch_run(
    folder: ServerFolder, kept: KeptPlan, since: datetime, is_up: Callable[[], bool]
) -> Iterator[RunReport]:
    """Yield the run's report whenever it has changed, until it is over or nobody works on it any more."""
    told: RunReport | None = None
    begun_s = time.monotonic()
    while True:
        report = report_run(folder, kept)
        fresh = report.changed_at is not None and report.changed_at >= since
        if fresh and report != told:
            yield report
            told = report
        if fresh and report.state not in ("proposing", "training"):
            return
        if not fresh and time.monotonic() - begun_s > _BEGIN_WITHIN_S:
            raise FedmetsError(
                f"the run did not begin within {_BEGIN_WITHIN_S:g} s; see the logs in {folder.path}/flower"
            )
        if not is_up():
            raise FedmetsError(f"{folder.path}: the aggregator is down; bring it up, then resume")
        time.sleep(_POLL_S)


def _submit(folder: ServerFolder, kept: KeptPlan, cli: FlowerCli, config: dict[str, str | float]) -> int:
    from server.bundle import write_bundle  # Flower's builder takes a second to import

    app = flower_folder(folder).app
    bundle_sha256 = write_bundle(app)
    if bundle_sha256 != kept.body.bundle_sha256:
        raise FedmetsError(
            f"plan {kept.body.plan_id[:12]} names the app bundle {kept.body.bundle_sha256[:12]}, and this fedmets "
            f"makes {bundle_sha256[:12]}; sign the plan again with fedmets-server plan, and have it approved"
        )
    return submit_run(cli, app, {"plan": kept.body.plan_id, **config})


def _going_on(cli: FlowerCli) -> list[FlowerRun]:
    return [run for run in list_runs(cli) if not run.status.is_over]
