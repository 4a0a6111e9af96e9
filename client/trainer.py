"""The worker's training process: it holds torch, the cases, the network and the GPU, and may die alone.

It is a child with a process group of its own, so that a signal for the worker does not reach it, and ends with the
worker (Linux kills it; elsewhere the closed socket ends it after the task in hand).
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from client.frames import Frame, FrameError, FrameSocket
from client.trainer_frames import Answer, reply_in, train_frame, warm_frame
from common.allocation import for_training
from common.errors import FailureCode
from common.plan import Plan
from common.protocol import SiteAnswer, SiteFailed, TrainTask

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.5
_KILL_WITHIN_S = 10.0


class _GaveUpError(Exception):
    """Nobody waits for the task any longer."""

    def __init__(self, code: FailureCode, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Child:
    process: "subprocess.Popen[bytes]"
    frames: FrameSocket

    def end(self) -> int:
        """Kill it and what it started; its exit code, negative for a signal."""
        self.frames.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # not waited for yet: the number is still its own
        return self.process.wait(_KILL_WITHIN_S)


class Trainer:
    """Trains in a child process that is started when first needed and again after it died.

    Not to be used from two threads at once. Close it at the end.

    Args:
        site: the site's name, for replies.
        command: starts the child; two numbers are appended: its end of a socket pair, and this process.
        stopping: whether the worker was told to end.
        grace_s: how much longer a task may take from then on.
    """

    def __init__(
        self,
        site: str,
        command: Sequence[str],
        stopping: Callable[[], bool] = lambda: False,
        grace_s: float = 60.0,
    ) -> None:
        self._site, self._command = site, tuple(command)
        self._stopping, self._grace_s = stopping, grace_s
        self._child: _Child | None = None
        self._number = 0
        self._stop_s = float("inf")
        self._memory_failures = 0

    def warm(self, plan: Plan) -> None:
        """Let the child open the plan's cases and build its network; returns at once, a task waits for it."""
        try:
            self._send(warm_frame(self._next_number(), plan), self._patience(time.monotonic() + self._grace_s))
        except (FrameError, _GaveUpError) as error:
            log.warning("the training process cannot get ready for plan '%s': %s", plan.name, error)
            self.close()

    def train(self, task: TrainTask, plan: Plan, deadline_s: float) -> SiteAnswer:
        """Work on a task that was admitted.

        Returns:
            The child's reply; or SiteFailed with `worker-died` when it crashed, was killed or ran out of memory
            for good, `deadline-passed` after `deadline_s` seconds, `site-stopped` when the worker had to end.
        """
        patience = self._patience(time.monotonic() + deadline_s)
        try:
            number = self._next_number()
            self._send(train_frame(number, task, plan), patience)
            reply = self._reply_to(number, task, patience)
        except FrameError as error:
            code = self._end_child()
            log.error("round %d: the training process died (%s): %s", task.round_id, _in_words(code), error)
            return SiteFailed(self._site, task.round_id, FailureCode.WORKER_DIED)
        except _GaveUpError as error:
            self._end_child()
            log.error("round %d: the training process was ended: %s", task.round_id, error)
            return SiteFailed(self._site, task.round_id, error.code)
        self._look_at_memory(reply)
        return reply

    @property
    def pid(self) -> int | None:
        """The child's number; None when there is none."""
        return None if self._child is None else self._child.process.pid

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self._end_child()

    def _send(self, frame: Frame, patience: Callable[[], float]) -> None:
        if self._child is not None and self._child.process.poll() is not None:
            log.warning("the training process had died (%s)", _in_words(self._end_child()))
        if self._child is None:
            self._child = _start(self._command)
        self._child.frames.send(frame, patience)

    def _reply_to(self, number: int, task: TrainTask, patience: Callable[[], float]) -> SiteAnswer:
        """The answer to a request; those to earlier ones, such as to get warm, are passed over."""
        assert self._child is not None
        while True:
            frame = self._child.frames.receive(patience)
            try:
                answer = Answer.from_json(frame.header)
            except ValidationError:
                raise FrameError("what it sent is no answer") from None
            if answer.number == number:
                return reply_in(answer, frame, task, self._site)

    def _patience(self, deadline_s: float) -> Callable[[], float]:
        def seconds_left() -> float:
            now_s = time.monotonic()
            if self._stopping() and self._stop_s == float("inf"):
                self._stop_s = now_s + self._grace_s
            if now_s >= self._stop_s:
                raise _GaveUpError(FailureCode.SITE_STOPPED, "the daemon is being stopped")
            if now_s >= deadline_s:
                raise _GaveUpError(FailureCode.DEADLINE, "the task's deadline has passed")
            return min(_LOOK_EVERY_S, deadline_s - now_s, self._stop_s - now_s)

        return seconds_left

    def _look_at_memory(self, reply: SiteAnswer) -> None:
        """A second lack of memory in a row may be the process's own doing: begin with a new one."""
        full = isinstance(reply, SiteFailed) and reply.code is FailureCode.OUT_OF_MEMORY
        self._memory_failures = self._memory_failures + 1 if full else 0
        if self._memory_failures >= 2:
            log.warning("out of memory twice in a row: the next task gets a new training process")
            self._memory_failures = 0
            self._end_child()

    def _end_child(self) -> int | None:
        child, self._child = self._child, None
        return None if child is None else child.end()

    def _next_number(self) -> int:
        self._number += 1
        return self._number


def child_command(folder: Path, site: str) -> tuple[str, ...]:
    """What starts a hospital's training process."""
    return (sys.executable, "-P", "-m", "client.trainer_child", str(folder), site)


def _start(command: Sequence[str]) -> _Child:
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        try:
            process = subprocess.Popen(
                [*command, str(number), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=(number,),
                process_group=0,
                env=for_training(os.environ),
            )
        except OSError as error:  # no memory, or too many processes
            ours.close()
            raise FrameError(f"it cannot be started: {error.strerror}") from None
    return _Child(process, FrameSocket(ours))


def _in_words(code: int | None) -> str:
    if code is None:
        return "not started"
    if code >= 0:
        return f"exit code {code}"
    killed = " (also the kernel's way out of memory shortage)" if code == -signal.SIGKILL else ""
    return f"signal {-code}{killed}"
