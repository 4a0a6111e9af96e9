"""The federated loop's link over Flower: tasks out through a Grid, replies in, one at a time."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from typing import Protocol

from flwr.app import Message

from common.errors import FailureCode, UpdateCode, WireError
from common.flower import from_record, to_record
from common.identity import IdentityKey
from common.plan import Plan
from common.protocol import SiteFailed, SiteReply, SiteUntrusted, SiteUpdate, TrainTask
from common.wire import Envelope, TaskBody
from server.provisioning import ServerFolder
from server.sealing import open_reply, seal_task
from server.selection import quorum_of

log = logging.getLogger(__name__)
TRAIN, QUERY = "train", "query"
_IN_MEMORY = 2  # answers beside the mean, whatever the number of sites: one worked off, one being fetched
_POLL_S = 0.5
_RETURN_WITHIN_S = 60.0
_REST_S, _REST_SHARE = 60.0, 0.1  # the shorter of the two; the share is of the deadline
_TTL_MARGIN_S = 60.0  # a reply on its way at the deadline may still be told from one that never came


class Messages(Protocol):
    """The part of Flower's Grid that is used."""

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send; the ids in the same order, nothing for a message that could not be sent."""
        ...

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies to these messages that are there."""
        ...


class FlowerLink:
    """Reaches the sites of one plan.

    Args:
        grid: Flower's.
        plan: whose sites alone are asked.
        nodes: the node that each site is signed in with now, by site; asked before every round.
        folder: the registry that says whose signature counts.
        identity: signs the tasks; asked for every round, since keys rotate while a run goes on.
        clock: the time on tasks.
    """

    def __init__(
        self,
        grid: Messages,
        plan: Plan,
        nodes: Callable[[], Mapping[str, int]],
        folder: ServerFolder,
        identity: Callable[[], IdentityKey],
        clock: Callable[[], datetime],
    ) -> None:
        self._grid, self._plan, self._nodes = grid, plan, nodes
        self._folder, self._identity, self._clock = folder, identity, clock
        self._expected = set(plan.sites)
        self._rest_s = 0.0

    def online(self) -> tuple[str, ...]:
        """The plan's sites that are signed in, once those of the round before are back and enough for a quorum.

        A line that dropped for a moment, or a SuperLink that was started anew, must not cost a site its round, or
        the run all its rounds one after the other. Who took part before is awaited for a minute, a quorum for the
        plan's deadline. Sites that are there, but too few of which had an update for the round before, are given a
        rest first: what ails them may be over in a moment, as a mount that comes back.
        """
        time.sleep(self._rest_s)
        begun_s = time.monotonic()
        while True:
            nodes = self._nodes()
            present = {site for site in self._plan.sites if site in nodes}
            waited_s = time.monotonic() - begun_s
            late = waited_s > (_RETURN_WITHIN_S if self._is_quorum(present) else self._plan.federation.deadline_s)
            if late or (present >= self._expected and self._is_quorum(present)):
                self._expected = present
                return tuple(site for site in self._plan.sites if site in present)
            time.sleep(_POLL_S)

    def _is_quorum(self, present: Set[str]) -> bool:
        return len(present) >= quorum_of(self._plan)

    def train(self, sites: Sequence[str], task: TrainTask, deadline_s: float) -> Iterator[SiteReply]:
        """Send the task, signed, and yield what comes back, checked, until the deadline."""
        end_s = time.monotonic() + deadline_s
        body, sealed = self._seal(task)
        nodes = self._nodes()
        present = {site: nodes[site] for site in sites if site in nodes}
        waiting = send(self._grid, sealed, present, TRAIN, end_s, str(task.round_id))
        del sealed  # its payload is as large as the model, and is sent
        updates = 0
        for site, reply in answers_to(self._grid, waiting, end_s):
            begun_s = time.monotonic()
            checked = self._read(site, reply, body)
            del reply
            log.info("round %d: answer of %s checked in %.3f s", task.round_id, site, time.monotonic() - begun_s)
            updates += isinstance(checked, SiteUpdate)
            yield checked
            del checked  # else it would live until the next one is here, beside it
        enough = updates >= quorum_of(self._plan)
        self._rest_s = 0.0 if enough else min(_REST_S, _REST_SHARE * self._plan.federation.deadline_s)

    def _seal(self, task: TrainTask) -> tuple[TaskBody, Envelope]:
        begun_s = time.monotonic()
        federation, rotations = self._folder.federation.name, self._folder.rotations()
        body, sealed = seal_task(task, self._plan, federation, self._identity(), self._clock(), rotations)
        spent_s = time.monotonic() - begun_s
        log.info("round %d: task of %d bytes sealed in %.3f s", task.round_id, len(sealed.payload), spent_s)
        return body, sealed

    def _read(self, site: str, reply: "Envelope | Lost | WireError", task: TaskBody) -> SiteReply:
        match reply:
            case Envelope():
                return open_reply(reply, task, site, self._plan, self._folder, self._clock())
            case WireError():
                return SiteUntrusted(site, task.round_id, UpdateCode.MALFORMED_REPLY, str(reply), 0)
            case Lost():
                log.warning("round %d: no answer from %s: %s", task.round_id, site, reply.reason)
                return SiteFailed(site, task.round_id, FailureCode.CONNECTION_LOST)


class Lost:
    """Flower's word that no answer will come: the site's node went away, or its answer could not be fetched."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def exchange(
    grid: Messages, message: Envelope, nodes: Mapping[str, int], message_type: str, wait_s: float
) -> Iterator[tuple[str, "Envelope | Lost | WireError"]]:
    """Send one message to several nodes and yield (site, answer) as they come, for `wait_s` at the longest."""
    end_s = time.monotonic() + wait_s
    yield from answers_to(grid, send(grid, message, nodes, message_type, end_s), end_s)


def send(
    grid: Messages, message: Envelope, nodes: Mapping[str, int], message_type: str, end_s: float, group: str = ""
) -> Mapping[str, str | None]:
    """Send one message to several nodes; its number for each, None where it could not be sent.

    The content is stored once at the SuperLink, whatever the number of nodes.
    """
    begun_s = time.monotonic()
    record, ttl_s = to_record(message), end_s - begun_s + _TTL_MARGIN_S
    messages = [Message(record, node, message_type, ttl=ttl_s, group_id=group) for node in nodes.values()]
    ids = dict(zip(nodes, grid.push_messages(messages), strict=False))
    if group:
        log.info("round %s: sent to %d sites in %.3f s", group, len(nodes), time.monotonic() - begun_s)
    return {site: ids.get(site) or None for site in nodes}


def answers_to(
    grid: Messages, sent: Mapping[str, str | None], end_s: float
) -> Iterator[tuple[str, "Envelope | Lost | WireError"]]:
    """Yield (site, answer) as they come, until `end_s` on the monotonic clock.

    Answers are fetched one at a time, in a thread of its own: a slow line must not hold up the deadline. (That one
    which is still being uploaded is not begun with is server/whole_answers.py's part.)
    """
    for site, message_id in sent.items():
        if message_id is None:
            yield site, Lost("the message could not be sent")
    with _Puller(grid, {site: number for site, number in sent.items() if number is not None}, end_s) as answers:
        yield from answers


class _Puller:
    """A thread that fetches one answer after the other, the next while the one before is worked off."""

    def __init__(self, grid: Messages, waiting: Mapping[str, str], end_s: float) -> None:
        self._grid, self._end_s = grid, end_s
        self._waiting, self._left = dict(waiting), len(waiting)  # the thread's; the consumer's
        self._done: queue.Queue[tuple[str, Envelope | Lost | WireError]] = queue.Queue()
        self._room = threading.Semaphore(_IN_MEMORY)  # given back when an answer has been worked off
        self._over = threading.Event()

    def __enter__(self) -> Iterator[tuple[str, "Envelope | Lost | WireError"]]:
        threading.Thread(target=self._pull, daemon=True).start()
        return self._answers()

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    def _answers(self) -> Iterator[tuple[str, "Envelope | Lost | WireError"]]:
        while self._left and (rest_s := self._end_s - time.monotonic()) > 0:
            try:
                answer = self._done.get(timeout=min(rest_s, _POLL_S))
            except queue.Empty:
                continue
            yield answer
            del answer
            self._left -= 1
            self._room.release()

    def _pull(self) -> None:
        """Ask for every site's answer in turn, and again a moment later, until all are there or time is up."""
        while self._waiting and not self._is_over():
            for site in tuple(self._waiting):
                while not self._room.acquire(timeout=_POLL_S):
                    if self._is_over():
                        return
                if not self._pull_one(site):
                    self._room.release()
            self._over.wait(_POLL_S)

    def _pull_one(self, site: str) -> bool:
        begun_s = time.monotonic()
        answer = self._fetch(self._waiting[site])
        if answer is None:
            return False
        log.info("answer of %s fetched in %.3f s", site, time.monotonic() - begun_s)
        del self._waiting[site]
        self._done.put((site, answer))
        return True

    def _is_over(self) -> bool:
        return self._over.is_set() or time.monotonic() >= self._end_s

    def _fetch(self, message_id: str) -> "Envelope | Lost | WireError | None":
        try:
            replies = list(self._grid.pull_messages([message_id]))
        except Exception as error:  # noqa: BLE001 (this thread's edge: whatever the transport raises is a lost try)
            log.warning("an answer could not be asked for: %s", error)
            return None
        if not replies:
            return None
        if replies[0].has_error():
            return Lost(f"{replies[0].error.code}: {replies[0].error.reason}")
        try:
            return from_record(replies[0].content)
        except WireError as error:
            return error
