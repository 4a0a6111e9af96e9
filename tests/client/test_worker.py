"""The worker answers every task, whatever the desk does, and knows no torch."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from flwr.app import ConfigRecord, RecordDict

from client.worker import answer_to, run_worker
from common.errors import EnrollmentError, FailureCode, NodeError, StorageError
from common.flower import from_record, to_record
from common.identity import Domain, IdentityKey
from common.plan import Plan
from common.wire import Envelope

KEY = IdentityKey.generate()
PLAN = Plan(name="tiny", sequences=("t1c",), sites=("north",))
SECRET = "/data/Smith_John/t1c.nii.gz"


def envelope(text: str) -> Envelope:
    return Envelope(text.encode(), KEY.sign(Domain.TASK, text.encode()), b"payload")


@dataclass
class FakeTask:
    record: RecordDict
    bundle_sha256: str = "b" * 64
    error: NodeError | None = None
    replies: list[tuple[RecordDict, float]] = field(default_factory=list)

    def reply(self, record: RecordDict, delivery_s: float = 0.0) -> None:
        if self.error is not None:
            raise self.error
        self.replies.append((record, delivery_s))


class FakeSource:
    """Gives or raises these, in turn."""

    def __init__(self, items: Iterable[FakeTask | NodeError | None]) -> None:
        self.items = list(items)

    def next(self) -> FakeTask | None:
        item = self.items.pop(0) if self.items else None
        if isinstance(item, NodeError):
            raise item
        return item


@dataclass
class FakeDesk:
    """Repeats the message; or raises what it was given."""

    error: Exception | None = None
    failing_too: bool = False
    plans: tuple[Plan, ...] = ()
    asked: list[str] = field(default_factory=list)

    def answer(self, message: Envelope, bundle_sha256: str) -> Envelope:
        self.asked.append(bundle_sha256)
        if self.error is not None:
            raise self.error
        return envelope(f"answer to {message.body.decode()}")

    def failed(self, message: Envelope, code: FailureCode) -> Envelope:
        if self.failing_too:
            raise OSError(SECRET)
        return envelope(f"failed {code}")

    def unreadable(self, text: str) -> Envelope:
        if self.failing_too:
            raise OSError(SECRET)
        return envelope("refused")

    def approved(self) -> tuple[Plan, ...]:
        if self.error is not None:
            raise EnrollmentError("plan.json is damaged")
        return self.plans


def told_after(looks: int) -> Callable[[float], bool]:
    """Says that it is time to end from the so-manieth time on that it waits."""
    left = [looks]

    def wait(seconds: float) -> bool:
        left[0] -= seconds > 0
        return left[0] < 0

    return wait


def task() -> FakeTask:
    return FakeTask(to_record(envelope("task")))


def work(source: FakeSource, desk: FakeDesk, looks: int, warmed: list[Plan] | None = None) -> None:
    run_worker(source, desk, told_after(looks), (warmed if warmed is not None else []).append, 30.0)


def bodies(*tasks: FakeTask) -> list[str]:
    return [from_record(record).body.decode() for one in tasks for record, _ in one.replies]


def test_tasks_are_answered_in_turn_with_what_the_desk_says() -> None:
    one, other, desk = task(), task(), FakeDesk()
    work(FakeSource([None, one, None, other]), desk, looks=6)
    assert bodies(one, other) == ["answer to task"] * 2
    assert desk.asked == ["b" * 64] * 2
    assert [delivery_s for _, delivery_s in one.replies] == [0.0]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(SECRET), "training-error"),
        (StorageError(f"{SECRET}: full"), "disk-full"),
        (KeyError(SECRET), "training-error"),
    ],
)
def test_an_exception_is_a_signed_code_outside_and_a_traceback_inside(
    error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = task()
    work(FakeSource([asked]), FakeDesk(error), looks=2)
    assert bodies(asked) == [f"failed {code}"]
    assert SECRET in caplog.text
    assert "Smith" not in repr(asked.replies)


def test_a_task_is_replied_to_even_when_nothing_can_be_signed() -> None:
    reply = answer_to(task(), FakeDesk(OSError(SECRET), failing_too=True))
    assert len(reply) == 0


def test_what_is_no_message_of_ours_is_refused() -> None:
    strange = FakeTask(RecordDict({"head": ConfigRecord({"body": b"x"})}))
    desk = FakeDesk()
    assert from_record(answer_to(strange, desk)).body == b"refused"
    assert desk.asked == []
    assert len(answer_to(strange, FakeDesk(failing_too=True))) == 0


def test_a_node_that_is_away_is_waited_for_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    away, asked = NodeError("refused"), task()
    with caplog.at_level(logging.INFO):
        work(FakeSource([away, away, away, asked]), FakeDesk(), looks=5)
    assert bodies(asked) == ["answer to task"]
    assert caplog.text.count("waiting for the SuperNode") == 1


def test_a_lost_reply_ends_nothing_unless_the_node_waits_for_it() -> None:
    lost, after = task(), task()
    lost.error = NodeError("unknown task")
    work(FakeSource([lost, after]), FakeDesk(), looks=3)
    assert bodies(after) == ["answer to task"]
    lost.error = NodeError("timed out", holds_task=True)
    with pytest.raises(NodeError):
        work(FakeSource([lost]), FakeDesk(), looks=3)
    with pytest.raises(NodeError):
        work(FakeSource([NodeError("no content", holds_task=True)]), FakeDesk(), looks=3)


def test_the_last_reply_is_seen_through_the_node() -> None:
    asked = task()
    desk = FakeDesk()
    stops: list[int] = []

    def wait(seconds: float) -> bool:
        return bool(stops)

    def answer(message: Envelope, bundle_sha256: str) -> Envelope:
        stops.append(1)  # SIGTERM comes while the task is in hand
        return envelope("done all the same")

    desk.answer = answer  # type: ignore[method-assign]
    run_worker(FakeSource([asked, task()]), desk, wait, lambda plan: None, 30.0)
    assert bodies(asked) == ["done all the same"]
    assert asked.replies[0][1] == 30.0


def test_the_newest_approved_plan_is_got_ready_once() -> None:
    warmed: list[Plan] = []
    work(FakeSource([]), FakeDesk(plans=(PLAN.model_copy(update={"seed": 2}), PLAN)), looks=4, warmed=warmed)
    assert warmed == [PLAN]
    work(FakeSource([]), FakeDesk(error=OSError()), looks=2, warmed=warmed)
    assert len(warmed) == 1


def test_the_worker_does_not_import_torch() -> None:
    script = (
        "import sys, client.worker; print([name for name in ('torch', 'monai', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
