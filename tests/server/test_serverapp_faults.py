"""A ServerApp whose way to the SuperLink fails: the run says of what kind the fault was, the log in what words."""

from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run, RunNotRunningException

from common.errors import FedmetsError, StorageError
from server import app
from server.run_folder import RunFault, RunFolder, RunProgress
from server.run_report import report_run
from server.superlink import FOLDER_VARIABLE
from tests.wired import Wired, wire

WORDS = "certificate verify failed at 127.0.0.1"


class BrokenGrid(Grid):
    """Raises the same error whatever it is asked."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def set_run(self, run: Run) -> None:
        raise self.error

    @property
    def run(self) -> Run:
        raise self.error

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        raise self.error

    def get_node_ids(self) -> Iterable[int]:
        raise self.error

    def get_nodes(self) -> Iterable[NodeInfo]:
        raise self.error

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise self.error

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise self.error

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        raise self.error


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wired:
    lab = wire(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(lab.lab.server.path))
    return lab


def started(lab: Wired) -> Context:
    config: UserConfig = {"plan": lab.kept.body.plan_id, "mode": "train", "approval_deadline_s": 1.0}
    return Context(17, 0, {}, RecordDict({"none": ConfigRecord({})}), config)


def ended(lab: Wired, error: BaseException) -> tuple[RunProgress, str]:
    """How the run stands after its process met the error, and the ServerApp's log."""
    with pytest.raises(type(error)):
        app.main(BrokenGrid(error), started(lab))
    progress = RunFolder(lab.lab.server, lab.kept.body.plan_id).progress()
    assert progress is not None
    return progress, (lab.lab.server.path / "flower" / "logs" / "serverapp.log").read_text()


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (httpx.ConnectError(WORDS), RunFault.TRANSPORT),
        (ConnectionResetError(WORDS), RunFault.TRANSPORT),
        (RunNotRunningException(WORDS), RunFault.ENDED_BY_FLOWER),
        (KeyError(WORDS), RunFault.PROGRAM),
    ],
)
def test_the_kind_stands_in_the_state_and_the_words_in_the_log(
    lab: Wired, error: BaseException, fault: RunFault
) -> None:
    progress, logged = ended(lab, error)
    assert (progress.phase, progress.fault) == ("proposing", fault)
    report = report_run(lab.lab.server, lab.kept)
    (head, *_) = report.lines(lab.lab.server)
    assert "interrupted, round 0 of 3" in head and f": {fault}: " in head and "serverapp.log" in head
    assert report.to_dict()["fault"] == fault
    assert WORDS not in progress.to_json() and WORDS in logged and type(error).__name__ in logged


def test_an_error_of_ours_still_speaks_for_itself(lab: Wired) -> None:
    progress, logged = ended(lab, StorageError("runs: cannot be written: the disk is full"))
    assert (progress.fault, progress.reason) == (None, "runs: cannot be written: the disk is full")
    assert "the disk is full" in logged


def test_a_start_that_fails_before_the_run_is_in_the_log_too(lab: Wired) -> None:
    context = started(lab)
    context.run_config["plan"] = "none of this name"
    with pytest.raises(FedmetsError):
        app.main(BrokenGrid(KeyError(WORDS)), context)
    assert "none of this name" in (lab.lab.server.path / "flower" / "logs" / "serverapp.log").read_text()


def test_the_next_start_forgets_the_fault(lab: Wired) -> None:
    ended(lab, httpx.ConnectError(WORDS))
    progress, _ = ended(lab, StorageError("another matter"))
    assert (progress.fault, progress.reason) == (None, "another matter")
