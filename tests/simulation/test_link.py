from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import FailureCode, StorageError
from common.protocol import SiteFailed, SiteReply, TrainTask
from common.weights import Weights
from simulation.link import InProcessLink, train_job
from simulation.pool import Workers
from tests.server.builders import make_update

SITES = ("north", "south", "west")
TASK = TrainTask("plan", 1, Weights((("w", (2,)),), np.zeros(2, np.float32)))
NEVER = object()


class FakeWorkers(Workers):
    """Answers at once, breaks or hangs, as told by site."""

    def __init__(self, count: int, **sites: object) -> None:
        super().__init__(1, 1)
        self.count, self.sites, self.most, self.stopped = count, sites, 0, False
        self._futures: list[Future[Any]] = []

    def submit(self, job: Callable[..., Any], *arguments: Any) -> Future[Any]:
        _, site, task = arguments
        future: Future[Any] = Future()
        answer = self.sites.get(site, make_update(site, task))
        self._futures.append(future)
        self.most = max(self.most, sum(not one.done() for one in self._futures))
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not NEVER:
            future.set_result(answer)
        return future

    def stop(self) -> None:
        self.stopped = True


def replies(workers: Workers, deadline_s: float = 60.0) -> dict[str, SiteReply]:
    return {
        reply.site: reply for reply in InProcessLink(Path("out"), SITES, workers).train(SITES, TASK, deadline_s)
    }


def test_every_site_is_asked_once() -> None:
    workers = FakeWorkers(2)
    assert InProcessLink(Path("out"), SITES, workers).online() == SITES
    assert sorted(replies(workers)) == sorted(SITES)
    assert not workers.stopped


def test_no_more_sites_work_at_a_time_than_there_are_workers() -> None:
    workers = FakeWorkers(2, north=NEVER, south=NEVER, west=NEVER)
    assert replies(workers, deadline_s=0.01) == {}
    assert workers.most == 2


def test_a_dead_worker_is_a_failed_site() -> None:
    answers = replies(FakeWorkers(2, south=BrokenProcessPool("killed")))
    assert answers["south"] == SiteFailed("south", 1, FailureCode.WORKER_DIED)
    assert sorted(answers) == sorted(SITES)


def test_a_site_past_its_deadline_yields_nothing_and_is_ended() -> None:
    workers = FakeWorkers(3, west=NEVER)
    assert sorted(replies(workers, deadline_s=0.01)) == ["north", "south"]
    assert workers.stopped


def test_a_site_whose_cases_cannot_be_opened_has_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(folder: Path, name: str) -> None:
        raise StorageError("cache/0a1b: 10 bytes instead of 20; prepare the case again")

    monkeypatch.setattr("simulation.link.open_site", damaged)
    assert train_job(Path("out"), "west", TASK) == SiteFailed("west", 1, FailureCode.TRAINING_ERROR)
    assert "round 1 at site west: cache/0a1b: 10 bytes instead of 20" in caplog.text
