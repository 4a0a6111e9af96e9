"""The ServerApp that Flower starts: nothing but wiring around server/rounds.py.

Flower's executor starts it in a process of its own, with the aggregator's folder in FEDMETS_SERVER_DIR and the
plan in the run's configuration. Everything it does is on disk in DIR/runs/PLAN_ID; Flower keeps none of it. What
it says is in DIR/flower/logs/serverapp.log: SuperExec lets its output go, and Flower would carry it to SuperLink,
which is what may not answer.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import httpx
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.error import FlowerError
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from flwr.supercore.run import RunNotRunningException

from common.durable import storage_errors
from common.errors import EnrollmentError, FedmetsError
from common.identity import IdentityKey
from common.launching import LARGEST_LOG_BYTES
from common.lock import exclusive
from common.passphrase import passphrase_for
from common.plan import Plan
from server.approvals import Approvals
from server.federation import open_federation
from server.flower_link import FlowerLink, Messages
from server.plans import KeptPlan, pick_plan
from server.provisioning import ServerFolder, open_server
from server.records import RoundRecord, RunStatus
from server.releasing import sealed_release
from server.rounds import run_federation
from server.run_folder import RunFault, RunFolder, RunProgress, starting
from server.signed_in import signed_in
from server.superlink import flower_folder
from server.whole_answers import WholeAnswers

FOLDER_VARIABLE = "FEDMETS_SERVER_DIR"
LOG = "serverapp"
Nodes = Callable[[], Mapping[str, int]]  # the node that each site is signed in with now
LOG_FORMAT = "%(asctime)s %(message)s"
_TRANSPORT_ERRORS = (httpx.HTTPError, FlowerError, ObjectPushError, ConnectionError, TimeoutError)
_FAULTS = {
    RunFault.TRANSPORT: "SuperLink did not answer as it should",
    RunFault.ENDED_BY_FLOWER: "SuperLink says that the run is over, as after a minute without a sign of life",
    RunFault.PROGRAM: "an error that is not foreseen; please report it",
}
log = logging.getLogger("fedmets")
app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """One run, in the mode that its configuration names: `train` a plan, or `release` its model to the sites."""
    logging.getLogger("httpx").setLevel(
        logging.WARNING
    )  # each line would be pushed as a log, with a line of its own
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    folder = open_server(Path(os.environ.get(FOLDER_VARIABLE, "")))
    with _logged(flower_folder(folder).log(LOG)):
        _work(grid, context, folder)


def _work(grid: Grid, context: Context, folder: ServerFolder) -> None:
    kept = pick_plan(folder, str(context.run_config["plan"]))
    run = RunFolder(folder, kept.body.plan_id)
    run.make()
    answers = WholeAnswers(grid, flower_folder(folder).database)
    nodes = _node_finder(grid, folder)
    if context.run_config["mode"] == "release":
        _offer_release(answers, nodes, folder, kept, run)
        return
    with exclusive(run.path, wait_s=10.0):
        _refuse_unasked(run, context.run_id)
        work = _Run(answers, nodes, folder, kept, run, context)
        try:
            work.train()
        except (Exception, RunNotRunningException) as error:  # the process's edge: Flower raises what it likes
            work.give_up(error)
            raise


def _refuse_unasked(run: RunFolder, number: int) -> None:
    """Return if this process is the one that the consortium's last command asked for; raises EnrollmentError."""
    before = run.progress()
    if before is not None and not before.lets_begin(number, _now()):
        raise EnrollmentError(
            f"Flower's run {number} of plan {run.plan_id[:12]} was stopped, begun anew or came too late; not begun"
        )


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What is logged within the block stands in this file too, and what ends it; a full disk costs lines alone."""
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=LARGEST_LOG_BYTES, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger().addHandler(handler)
    try:
        yield
    except (Exception, RunNotRunningException):
        log.exception("this process ends by an error")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


class _Run:
    """One process's work on a run."""

    def __init__(
        self, grid: Messages, nodes: Nodes, folder: ServerFolder, kept: KeptPlan, run: RunFolder, context: Context
    ) -> None:
        self._grid, self._nodes, self._folder, self._kept, self._run = grid, nodes, folder, kept, run
        self._approval_deadline_s = float(str(context.run_config["approval_deadline_s"]))
        own = {"phase": "proposing", "process_id": os.getpid(), "flower_run": context.run_id}
        begun = starting(run.progress(), kept.plan.federation.rounds, _now())
        self._progress: RunProgress = begun.model_copy(update=own)

    def train(self) -> None:
        """From the sites' approval to the last round."""
        self._write()
        if self._agreed():
            self._rounds()

    def give_up(self, error: BaseException) -> None:
        """Leave in the run's state what ended it; the words of an error that is not ours are in the log alone."""
        fault, reason = _fault_of(error), str(error)
        if fault is not None:
            reason = f"{fault}: {_FAULTS[fault]}; its words are in {flower_folder(self._folder).log(LOG)}"
        last = self._progress.model_copy(update={"reason": reason, "fault": fault})
        self._progress = self._run.write_last_words(last, _now())

    def _agreed(self) -> bool:
        """Whether the sites approved; a run that has rounds behind it asked before, and each task asks again."""
        if self._progress.round_id:
            return True
        asking = Approvals(
            self._grid, self._kept.envelope, self._plan, self._nodes, self._folder, _now, self._note_standing
        )
        if asking.wait(self._approval_deadline_s):
            return True
        self._write(phase="ended", status=RunStatus.FAILED, reason=asking.shortfall(self._approval_deadline_s))
        return False

    def _rounds(self) -> None:
        self._write(phase="training")
        federation = open_federation(self._plan, self._run.path, time.perf_counter, time.time, log.warning)
        link = FlowerLink(self._grid, self._plan, self._nodes, self._folder, lambda: _identity(self._folder), _now)
        result = run_federation(federation, link, self._note_round)
        self._write(phase="ended", status=result.status, round_id=result.model.round_id)

    @property
    def _plan(self) -> Plan:
        return self._kept.plan

    def _note_standing(self, site: str, standing: str) -> None:
        log.info("site %s: %s", site, standing)
        self._write(standings={**self._progress.standings, site: standing})

    def _note_round(self, record: RoundRecord) -> None:
        told = ", ".join(f"{site.site} {site.code or site.outcome}" for site in record.sites)
        log.info("round %d of %d: %s", record.round, self._progress.rounds, told)
        self._write(round_id=record.round)

    def _write(self, **changes: object) -> None:
        self._progress = self._run.write(self._progress.model_copy(update=changes), _now())


def _offer_release(grid: Messages, nodes: Nodes, folder: ServerFolder, kept: KeptPlan, run: RunFolder) -> None:
    """Send the signed model to the plan's sites that are signed in; each keeps it for its fetch."""
    message = sealed_release(folder, kept, run, _identity(folder), _now())

    def say(site: str, standing: str) -> None:
        log.info("release at site %s: %s", site, standing)

    asking = Approvals(grid, message, kept.plan, nodes, folder, _now, say)
    asking.ask(kept.plan.federation.deadline_s)


def _fault_of(error: BaseException) -> RunFault | None:
    """What kind of error it is; None for one of ours, whose text says what to do."""
    if isinstance(error, FedmetsError):
        return None
    if isinstance(error, RunNotRunningException):
        return RunFault.ENDED_BY_FLOWER
    return RunFault.TRANSPORT if isinstance(error, _TRANSPORT_ERRORS) else RunFault.PROGRAM


def _identity(folder: ServerFolder) -> IdentityKey:
    keys = folder.server_keys()
    return folder.identity(passphrase_for(keys.identity_key, None))


def _node_finder(grid: Grid, folder: ServerFolder) -> Nodes:
    return lambda: signed_in(grid.get_nodes(), folder, _now())


def _now() -> datetime:
    return datetime.now(UTC)
