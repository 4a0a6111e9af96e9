"""The training process's own loop, in a thread."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from client import round as round_module
from client.frames import FrameSocket
from client.kept_network import KeptNetwork
from client.site import Site
from client.trainer_child import serve
from client.trainer_frames import Answer, train_frame, warm_frame
from common.errors import DataError, FailureCode, RefusalCode, SiteRefusal, StorageError, TrainingFailed
from common.plan import Plan
from tests.client.test_policy import PLAN, SITE, TASK


def patient() -> float:
    return 30.0


@contextmanager
def serving(open_site: Callable[[Plan], Site]) -> Iterator[FrameSocket]:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(FrameSocket(theirs), "north", open_site))
    thread.start()
    try:
        with ours:
            yield FrameSocket(ours)
    finally:
        ours.close()
        thread.join(30)
        theirs.close()
    assert not thread.is_alive()


def ask(frames: FrameSocket, number: int, kind: str = "train") -> Answer:
    frame = warm_frame(number, PLAN) if kind == "warm" else train_frame(number, TASK, PLAN)
    frames.send(frame, patient)
    return Answer.from_json(frames.receive(patient).header)


def test_cases_are_opened_once_and_each_answer_names_its_request() -> None:
    opened: list[str] = []

    def open_site(plan: Plan) -> Site:
        opened.append(plan.name)
        return SITE

    with serving(open_site) as frames:
        answers = [ask(frames, 7, "warm"), ask(frames, 8), ask(frames, 9)]
    assert [(one.number, one.outcome) for one in answers] == [(7, "warmed"), (8, "update"), (9, "update")]
    assert opened == ["tiny"]


def test_a_plan_that_is_begun_anew_has_its_cases_chosen_again(tmp_path: Path) -> None:
    opened: list[str] = []
    pinned = tmp_path / PLAN.fingerprint() / "cases.json"
    pinned.parent.mkdir()

    def open_site(plan: Plan) -> Site:
        opened.append(plan.name)
        pinned.touch()
        return replace(SITE, state=tmp_path)

    with serving(open_site) as frames:
        ask(frames, 1)
        ask(frames, 2)
        pinned.unlink()
        ask(frames, 3)
    assert len(opened) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageError("/cache: full"), FailureCode.DISK_FULL),
        (SiteRefusal(RefusalCode.CASES_CHANGED, "north", "p1 is gone"), RefusalCode.CASES_CHANGED),
        (DataError("/data/Smith_John: no such folder"), RefusalCode.NOT_READY),
        (OSError("/data/Smith_John/t1c.nii.gz"), FailureCode.TRAINING_ERROR),
    ],
)
def test_cases_that_cannot_be_opened_are_a_code_and_are_tried_again(
    error: Exception, code: FailureCode | RefusalCode, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [error, error]

    def open_site(plan: Plan) -> Site:
        if errors:
            raise errors.pop()
        return SITE

    with caplog.at_level(logging.INFO), serving(open_site) as frames:
        warmed, first, then = ask(frames, 1, "warm"), ask(frames, 2), ask(frames, 3)
    assert (warmed.code, first.code, then.code) == (code, code, None)
    assert "Smith" not in first.to_json()
    assert str(error) in caplog.text


def test_without_memory_the_network_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    sites: list[Site] = []
    real = round_module.train_round

    def first_full(task: object, site: Site) -> object:
        sites.append(site)
        if len(sites) == 1:
            site.network(site.plan)
            raise TrainingFailed(FailureCode.OUT_OF_MEMORY, "8 GiB")
        return real(TASK, site)

    monkeypatch.setattr(round_module, "train_round", first_full)
    with serving(lambda plan: SITE) as frames:
        full = ask(frames, 1)
        kept = sites[0].network
        assert isinstance(kept, KeptNetwork)
        assert kept._network is None
        assert (full.code, ask(frames, 2).outcome) == (FailureCode.OUT_OF_MEMORY, "update")
