"""The resident worker: takes tasks from the SuperNode beside it, has the desk answer them, and replies.

`python -m client.worker SITE_DIR --address HOST:PORT --secret-file FILE`; client/daemon.py starts it. It imports
no torch and opens no case: its training process does (client/trainer.py).

Every task gets a reply, whatever happens, since the SuperNode hands out no other before it has one. What went
wrong is logged here, in the house; what goes out is signed and holds a code.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from client.desk import Desk
from client.runtime_api import TaskSource
from client.site_folder import SiteFolder
from client.trainer import Trainer, child_command
from common.errors import FailureCode, FedmetsError, NodeError, StorageError, WireError
from common.flower import Record, from_record, to_record
from common.keyfiles import read_private_file
from common.passphrase import given_passphrase
from common.plan import Plan
from common.stopping import stop_signals
from common.wire import Envelope

log = logging.getLogger("client.worker")
_POLL_S = 0.3
_LOOK_FOR_PLANS_S = 5.0


class Task(Protocol):
    """A task in hand; `client.runtime_api.HeldTask` is one."""

    @property
    def record(self) -> Record:
        """The message."""

    @property
    def bundle_sha256(self) -> str:
        """Of the app bundle that came with it."""

    def reply(self, record: Record, delivery_s: float = 0.0) -> None:
        """Answer it; raises NodeError."""


class Source(Protocol):
    """Where tasks come from; `client.runtime_api.TaskSource` is one."""

    def next(self) -> Task | None:
        """Take a task, at once; raises NodeError."""


class Answers(Protocol):
    """Who answers; `client.desk.Desk` is one."""

    def answer(self, message: Envelope, bundle_sha256: str) -> Envelope:
        """The signed answer."""

    def failed(self, message: Envelope, code: FailureCode) -> Envelope:
        """A signed failure."""

    def unreadable(self, text: str) -> Envelope:
        """The signed refusal of what is no message of ours."""

    def approved(self) -> tuple[Plan, ...]:
        """The plans that a person approved, the newest last."""


def run_worker(
    source: Source,
    desk: Answers,
    wait: Callable[[float], bool],
    warm: Callable[[Plan], None],
    delivery_s: float = 30.0,
) -> None:
    """Answer tasks until `wait` says that it is time to end; the task in hand is answered first.

    Args:
        source: gives the tasks.
        desk: answers them.
        wait: waits so many seconds, or until the worker is to end, and says whether it is.
        warm: told of the newest approved plan, so that its first task finds everything ready.
        delivery_s: how long a last reply may take to pass through the SuperNode.

    Raises:
        NodeError: the SuperNode waits for a reply that it can no longer be given, and must be started anew.
    """
    warmed: Plan | None = None
    plans_due_s = 0.0
    is_away = False
    while not wait(_POLL_S):
        if time.monotonic() >= plans_due_s:
            plans_due_s = time.monotonic() + _LOOK_FOR_PLANS_S
            newest = _newest_plan(desk)
            if newest is not None and newest != warmed:
                warmed = newest
                warm(newest)
        try:
            task = source.next()
        except NodeError as error:
            if error.holds_task:
                raise
            if not is_away:
                log.warning("waiting for the SuperNode (%s)", error)
            is_away = True
            continue
        if is_away:
            log.info("the SuperNode answers")
            is_away = False
        if task is not None:
            _serve(task, desk, wait, delivery_s)


def _serve(task: Task, desk: Answers, wait: Callable[[float], bool], delivery_s: float) -> None:
    reply = answer_to(task, desk)
    is_ending = wait(0.0)
    try:
        task.reply(reply, delivery_s if is_ending else 0.0)
    except NodeError as error:
        if error.holds_task:
            raise
        log.error("a reply is lost: %s", error)


def answer_to(task: Task, desk: Answers) -> Record:
    """The reply to a task: the desk's, or a signed code, or, when not even that can be signed, an empty one."""
    try:
        message = from_record(task.record)
    except WireError as error:
        text = str(error)
        return _coded(lambda: desk.unreadable(text))
    try:
        return to_record(desk.answer(message, task.bundle_sha256))
    except StorageError:
        log.exception("a task is lost")
        code = FailureCode.DISK_FULL
    except Exception:
        log.exception("a task is lost")
        code = FailureCode.TRAINING_ERROR
    return _coded(lambda: desk.failed(message, code))


def _coded(answer: Callable[[], Envelope]) -> Record:
    try:
        return to_record(answer())
    except Exception:
        log.exception("and no answer to it can be signed")
        return Record()


def _newest_plan(desk: Answers) -> Plan | None:
    try:
        return (desk.approved() or (None,))[-1]
    except FedmetsError as error:
        log.error("the approved plans cannot be read: %s", error)
        return None


def main(argv: Sequence[str]) -> int:
    """Work for one hospital's folder until SIGTERM; the exit code."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every question whether there is a task
    try:
        with stop_signals() as stops:
            _work(options, stops.wait)
    except FedmetsError as error:
        log.error("%s", error)
        return error.exit_code
    except Exception:
        log.exception("unexpected")
        return 1
    return 0


def _work(options: argparse.Namespace, wait: Callable[[float], bool]) -> None:
    folder = SiteFolder(options.site_dir)
    site = folder.joined().kit().body.site
    trainer = Trainer(site, child_command(folder.path, site), lambda: wait(0.0), options.drain_s)
    source = TaskSource(options.address, read_private_file(options.secret_file))
    try:
        desk = Desk(folder, trainer, lambda: datetime.now(UTC), given_passphrase(options.passphrase_file))
        log.info("%s is at work, with the SuperNode at %s", site, options.address)
        run_worker(source, desk, wait, trainer.warm, options.delivery_s)
        log.info("ending, as asked")
    finally:
        trainer.close()
        source.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="client.worker")
    parser.add_argument("site_dir", type=Path)
    parser.add_argument("--address", required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--passphrase-file", type=Path)
    parser.add_argument("--drain-s", type=float, default=60.0, help="how long a task may go on after SIGTERM")
    parser.add_argument("--delivery-s", type=float, default=30.0, help="how long its reply may take from there")
    return parser


if __name__ == "__main__":
    os.umask(0o077)  # lists of cases, prepared arrays and logs are for this user alone; the trainer inherits it
    sys.exit(main(sys.argv[1:]))
