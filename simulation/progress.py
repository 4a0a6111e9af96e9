"""What a person, a log file or a program sees while a run is under way."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichBars


class Progress(Protocol):
    """A run tells of stages with a known number of steps, and of remarks."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of `total` steps begins, `done` of them made in an earlier invocation."""

    def advance(self, text: str) -> None:
        """One step of the stage is made; `text` says which."""

    def note(self, text: str) -> None:
        """A remark that should stay readable."""


class TerminalProgress:
    """Bars with the time left, for a person at a terminal; they are drawn while `bars` is entered."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self.bars = RichBars(
            TextColumn("{task.description:<14}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
        )
        self._task: TaskID | None = None

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self._task = self.bars.add_task(name, total=total, completed=done, text="")

    def advance(self, text: str) -> None:
        if self._task is not None:
            self.bars.update(self._task, advance=1, text=text)

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)


class PlainProgress:
    """One line a step, for logs: `federated 3/20 (41 s, about 230 s left) site-a loss 0.53`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._name, self._total, self._done, self._done_before, self._since_s = "", 0, 0, 0, 0.0

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self._name, self._total, self._done, self._done_before = name, total, done, done
        self._since_s = time.perf_counter()

    def advance(self, text: str) -> None:
        self._done += 1
        spent_s = time.perf_counter() - self._since_s
        left_s = spent_s / (self._done - self._done_before) * (self._total - self._done)
        print(
            f"{self._name} {self._done}/{self._total} ({spent_s:.0f} s, about {left_s:.0f} s left) {text}",
            file=self._stream,
            flush=True,
        )

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class JsonProgress:
    """One JSON object a line on stdout, for programs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._name, self._total, self._done = "", 0, 0

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self._name, self._total, self._done = name, total, done
        self._say({"event": "stage", "stage": name, "total": total, "done": done})

    def advance(self, text: str) -> None:
        self._done += 1
        self._say({"event": "step", "stage": self._name, "done": self._done, "total": self._total, "text": text})

    def note(self, text: str) -> None:
        self._say({"event": "note", "text": text})

    def _say(self, event: dict[str, str | int]) -> None:
        print(json.dumps(event), file=self._stream, flush=True)


class WatchedProgress:
    """Passes everything on, and calls `after_step` when a step is made."""

    def __init__(self, inner: Progress, after_step: Callable[[], None]) -> None:
        self._inner, self._after_step = inner, after_step

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self._inner.stage(name, total, done)

    def advance(self, text: str) -> None:
        self._inner.advance(text)
        self._after_step()

    def note(self, text: str) -> None:
        self._inner.note(text)


@contextmanager
def build_progress(as_json: bool) -> Iterator[Progress]:
    """JSON when asked for, bars on a terminal, plain lines otherwise."""
    if as_json:
        yield JsonProgress(sys.stdout)
    elif not sys.stderr.isatty():
        yield PlainProgress(sys.stderr)
    else:
        progress = TerminalProgress(sys.stderr)
        with progress.bars:
            yield progress
