"""Where the seconds of a run went, over all the invocations it took."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from common.durable import write_durably
from common.errors import StorageError

PARTS = ("prepare", "train", "evaluate", "aggregate")
SAVE_EVERY_S = 10.0


class Stopwatch:
    """Adds up wall seconds by part; what no part claims is `other`, and the parts sum to the total.

    The sums of earlier invocations of the same run are read from `path`, so that an interrupted run reports
    all its time but the ten seconds at most that a kill takes with it. Use as a context manager: leaving it saves.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.perf_counter) -> None:
        self._path, self._clock = path, clock
        self._started_s = self._saved_s = clock()
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._running: tuple[str, float] | None = None
        self._earlier = _read(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StorageError):  # seconds are not worth hiding the error that ends the run
            self.save()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block as one part; blocks do not nest."""
        start_s = self._clock()
        self._running = (name, start_s)
        try:
            yield
        finally:
            self._running = None
            self.add(name, self._clock() - start_s)

    def add(self, name: str, seconds: float) -> None:
        """Credit seconds measured elsewhere to a part."""
        self._seconds[name] += seconds

    def totals(self) -> dict[str, float]:
        """Seconds by part, `other` and `total`: {prepare 10, train 60, ..., other 2, total 80}."""
        now_s = self._clock()
        here = dict(self._seconds)
        if self._running is not None:
            name, start_s = self._running
            here[name] += now_s - start_s
        parts = {part: self._earlier[part] + here[part] for part in PARTS}
        parts["other"] = self._earlier["other"] + max(0.0, now_s - self._started_s - sum(here.values()))
        return {**parts, "total": sum(parts.values())}

    def save(self) -> None:
        """Write the sums to disk, durably."""
        write_durably(self._path, json.dumps(self.totals()).encode())
        self._saved_s = self._clock()

    def save_now_and_then(self) -> None:
        """Save when the last time is ten seconds past; cheap enough to call after every step."""
        if self._clock() - self._saved_s >= SAVE_EVERY_S:
            self.save()


def _read(path: Path) -> dict[str, float]:
    """Seconds of earlier invocations; zeros where there were none or the file is damaged."""
    try:
        stored = json.loads(path.read_bytes())
        return {part: float(stored[part]) for part in (*PARTS, "other")}
    except (OSError, ValueError, KeyError, TypeError):
        return dict.fromkeys((*PARTS, "other"), 0.0)
