"""Beginning, stopping and watching a plan's run at an aggregator that is up.

Flower takes seconds to start the process that works on a run. Until then DIR/runs/PLAN_ID/state.json says
"starting", written before Flower is asked, and again with Flower's number once it has answered. What a crash
between the two leaves at Flower begins as what was asked for, or finds in that file that nobody wants it any more.
"""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from common.audit import JSON
from common.errors import EnrollmentError, FedmetsError
from common.lock import exclusive
from common.processes import send
from server.flower_cli import FlowerCli
from server.flower_runs import list_runs, stop_run, submit_run
from server.plans import KeptPlan
from server.provisioning import ServerFolder
from server.run_folder import RunFolder, RunProgress, starting
from server.run_report import AT_WORK, RunReport, report_run
from server.superlink import flower_folder

_POLL_S = 1.0
_SETTLED_S = 2.0
_STOP_WITHIN_S = 60.0
_WAIT_S = 30.0
_NOTICED_WITHIN_S = 15.0  # a site asks for content that is not there every 10 s, and needs a moment to begin anew


def begin_run(
    folder: ServerFolder, kept: KeptPlan, cli: FlowerCli, approval_deadline_s: float, now: datetime
) -> int:
    """Hand the plan to Flower, which starts our ServerApp; from its last committed round, where there is one.

    Returns:
        Flower's own number of the run.

    Raises:
        EnrollmentError: the run is being started, or is at work already, or has all its rounds.
        AuditBroken: the federation's log does not hold; nothing is begun.
        FedmetsError: Flower refuses it, or the app bundle is another one than the signed plan names.
    """
    run = RunFolder(folder, kept.body.plan_id)
    run.make()
    if run.at_work():
        raise EnrollmentError(f"{_name(kept)} is at work already: {report_run(folder, kept).state}")
    with exclusive(run.path):  # as its process does while it works
        before, report = run.progress(), report_run(folder, kept)
        if report.round_id == report.rounds:
            raise EnrollmentError(
                f"{_name(kept)} has all its {report.rounds} rounds; for more, sign a plan of another name"
            )
        _refuse_starting(folder, kept, before, cli)
        check_bundle(folder, kept)
        with exclusive(folder.path, _WAIT_S):
            folder.audit(now)  # refuses a log that does not hold, before anything is done
        if end_leftover(before, cli) and before is not None and before.phase != "starting":
            time.sleep(_NOTICED_WITHIN_S)
        _record(folder, "run-started" if before is None else "run-resumed", kept, report.round_id, now)
        begun = run.write(starting(before, report.rounds, _now()), _now())
        try:
            number = _submit(folder, kept, cli, {"mode": "train", "approval_deadline_s": approval_deadline_s})
        except FedmetsError as error:
            run.write(begun.model_copy(update={"phase": "ended", "reason": str(error)}), _now())
            _record(folder, "run-not-begun", kept, report.round_id, now)
            raise
        run.write(begun.model_copy(update={"flower_run": number}), _now())
    return number


def end_leftover(progress: RunProgress | None, cli: FlowerCli) -> bool:
    """Stop what Flower still takes for a run although its process is gone; says whether there was one.

    Flower itself would find out a minute after the aggregator died. Until then sites wait for content that will
    never come, and then begin anew: a round sent to them meanwhile would be lost at every one of them.

    Args:
        progress: how the run was left; whoever asks holds its folder, so that nobody works on it.
        cli: the SuperLink's.

    Raises:
        FedmetsError: Flower refuses.
    """
    if progress is None or not _goes_on(progress.flower_run, cli):
        return False
    stop_run(cli, progress.flower_run)
    return True


def send_release(folder: ServerFolder, kept: KeptPlan, cli: FlowerCli) -> int:
    """Have the signed model sent to the plan's sites that are signed in; returns Flower's number of that run."""
    check_bundle(folder, kept)
    return _submit(folder, kept, cli, {"mode": "release"})


def end_run(folder: ServerFolder, kept: KeptPlan, cli: FlowerCli, now: datetime) -> None:
    """Stop a run, also one that Flower has not begun yet; the round under way is lost, the committed ones stand.

    It is stopped first and recorded then: a log that does not hold must not keep a run going.

    Raises:
        EnrollmentError: it is not at work, or came to its own end meanwhile.
        FedmetsError: its process does not end.
    """
    run = RunFolder(folder, kept.body.plan_id)
    progress = run.progress()
    if progress is None or not (run.at_work() or progress.phase == "starting"):
        raise EnrollmentError(f"{_name(kept)} is not at work; see: fedmets-server status {folder.path}")
    _stop_process(folder, run, cli)
    with exclusive(run.path, _WAIT_S):
        last = run.progress() or progress
        if last.status is not None:
            raise EnrollmentError(f"{_name(kept)} came to its own end meanwhile: {last.status}")
        stopped = {"phase": "ended", "reason": "stopped by the consortium", "fault": None}
        run.write(last.model_copy(update=stopped), now)
    _record(folder, "run-stopped", kept, last.round_id, now)


def watch_run(
    folder: ServerFolder, kept: KeptPlan, since: datetime, is_up: Callable[[], bool]
) -> Iterator[RunReport]:
    """Yield the run's report whenever it has changed, until it is over or nobody works on it any more.

    Args:
        folder: the federation's.
        kept: the plan.
        since: when the run was begun; what is older is of an earlier life.
        is_up: whether the aggregator is up.

    Raises:
        FedmetsError: the aggregator is down.
    """
    told: RunReport | None = None
    while True:
        report = report_run(folder, kept)
        if report.state == "interrupted":
            time.sleep(_SETTLED_S)  # who stops a run writes that down once its process is gone
            report = report_run(folder, kept)
        if report.changed_at is not None and report.changed_at >= since and report != told:
            yield report
            told = report
        if report.state not in AT_WORK:
            return
        if not is_up():
            raise FedmetsError(f"{folder.path}: the aggregator is down; bring it up, then resume")
        time.sleep(_POLL_S)


def _refuse_starting(folder: ServerFolder, kept: KeptPlan, before: RunProgress | None, cli: FlowerCli) -> None:
    """Return unless Flower has the run and may still begin it; raises EnrollmentError."""
    if before is None or not before.is_starting(_now()):
        return
    if before.flower_run == 0 or _goes_on(before.flower_run, cli):
        end = f"fedmets-server stop {folder.path} {kept.body.plan_id[:12]}"
        raise EnrollmentError(f"{_name(kept)} is being started already; wait for it, or end it with: {end}")


def _stop_process(folder: ServerFolder, run: RunFolder, cli: FlowerCli) -> None:
    """Have Flower end what it has of the run, until nobody works on it; raises FedmetsError."""
    asked_s, stopped = time.monotonic(), 0
    while True:
        at_work, progress = run.at_work(), run.progress()  # in this order: who begins it leaves the number last
        number, process_id = (progress.flower_run, progress.process_id) if progress else (0, 0)
        if number != stopped and _goes_on(number, cli):
            stop_run(cli, number)
        stopped = number
        if not at_work:
            return
        waited_s = time.monotonic() - asked_s
        if waited_s > _STOP_WITHIN_S:
            raise FedmetsError(f"process {process_id} of the run does not end; see {flower_folder(folder).path}")
        if waited_s > _STOP_WITHIN_S / 2 and is_serverapp(process_id):
            send([process_id], signal.SIGTERM)
        time.sleep(_POLL_S)


def is_serverapp(process_id: int) -> bool:
    """Whether the number is that of such a process: it may be another's by now."""
    try:
        return b"serverapp" in Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return False


def check_bundle(folder: ServerFolder, kept: KeptPlan) -> None:
    """Return if this installation builds the bundle that the plan names; raises FedmetsError."""
    from server.bundle import write_bundle  # Flower's builder takes a second to import

    bundle_sha256 = write_bundle(flower_folder(folder).app)
    if bundle_sha256 != kept.body.bundle_sha256:
        raise FedmetsError(
            f"plan {kept.body.plan_id[:12]} names the app bundle {kept.body.bundle_sha256[:12]}, and this fedmets "
            f"makes {bundle_sha256[:12]}; sign the plan again with fedmets-server plan, and have it approved"
        )


def _submit(folder: ServerFolder, kept: KeptPlan, cli: FlowerCli, config: dict[str, str | float]) -> int:
    return submit_run(cli, flower_folder(folder).app, {"plan": kept.body.plan_id, **config})


def _goes_on(number: int, cli: FlowerCli) -> bool:
    """Whether Flower has not ended a run of this number; 0 is none."""
    return number != 0 and any(run.run_id == number and not run.status.is_over for run in list_runs(cli))


def _record(folder: ServerFolder, event: str, kept: KeptPlan, round_id: int, now: datetime) -> None:
    details: dict[str, JSON] = {"plan_id": kept.body.plan_id}
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now).record(event, round_id, details)


def _name(kept: KeptPlan) -> str:
    return f"run {kept.body.plan_id[:12]}"


def _now() -> datetime:
    return datetime.now(UTC)
