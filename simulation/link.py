"""The in-process link: the same rounds.py and round.py, with function calls where the network would be."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from client.round import answer
from common.errors import FailureCode, FedmetsError
from common.protocol import SiteFailed, SiteReply, TrainTask
from simulation.pool import Workers
from simulation.sites import open_site

log = logging.getLogger("client.simulated")  # lost work is told of where the sites' own code tells of it
_POLL_S = 0.5


class InProcessLink:
    """Sends a task to sites that live in worker processes (or in this one) and yields their replies.

    Sites share fewer processes than there are sites, so the deadline counts from the moment a site's turn can
    have come: with 6 sites on 2 workers and 100 s, the last reply is awaited for 300 s. A worker that dies
    takes its site's work with it and no other's; the site is reported as failed.
    """

    def __init__(self, folder: Path, sites: tuple[str, ...], workers: Workers) -> None:
        self._folder = folder
        self._sites = sites
        self._workers = workers

    def online(self) -> tuple[str, ...]:
        """All sites: in one process nobody is away."""
        return self._sites

    def train(self, sites: Sequence[str], task: TrainTask, deadline_s: float) -> Iterator[SiteReply]:
        """Yield one reply per site as they finish; a site that outlasts the deadline yields none."""
        waiting: dict[Future[SiteReply], str] = {}
        queue = list(sites)
        turns = -(-len(sites) // self._workers.count)
        end_s = time.monotonic() + turns * deadline_s
        while (queue or waiting) and time.monotonic() < end_s:
            while queue and len(waiting) < self._workers.count:
                site = queue.pop(0)
                waiting[self._workers.submit(train_job, self._folder, site, task)] = site
            done, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                yield _reply_of(future, waiting.pop(future), task)
        if waiting:
            self._workers.stop()  # nobody waits for a site past its deadline


def train_job(folder: Path, site: str, task: TrainTask) -> SiteReply:
    """One task at one site, in a worker process; a site whose cases cannot be opened has failed."""
    try:
        opened = open_site(folder, site)
    except FedmetsError as error:
        log.error("round %d at site %s: %s", task.round_id, site, error)
        return SiteFailed(site, task.round_id, FailureCode.TRAINING_ERROR)
    return answer(task, opened)


def _reply_of(future: Future[SiteReply], site: str, task: TrainTask) -> SiteReply:
    try:
        return future.result()
    except BrokenProcessPool:
        return SiteFailed(site, task.round_id, FailureCode.WORKER_DIED)
