"""Where the seconds of a run went, over all the invocations it took."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.durable import write_durably

PARTS = ("prepare", "train", "evaluate", "aggregate")


class Stopwatch:
    """Adds up wall seconds by part; what no part claims is `other`, and the parts sum to the total.

    The sums of earlier invocations of the same run are read from `path`, so that an interrupted run reports
    all its time but what was lost with the kill.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started_s = time.perf_counter()
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._earlier = dict.fromkeys((*PARTS, "other"), 0.0)
        if path.exists():
            stored = json.loads(path.read_text())
            self._earlier = {part: float(stored[part]) for part in self._earlier}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block as one part."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - start_s

    def add(self, name: str, seconds: float) -> None:
        """Credit seconds measured elsewhere to a part."""
        self._seconds[name] += seconds

    def totals(self) -> dict[str, float]:
        """Seconds by part, `other` and `total`: {prepare 10, train 60, ..., other 2, total 80}."""
        here_s = time.perf_counter() - self._started_s
        parts = {part: self._earlier[part] + self._seconds[part] for part in PARTS}
        parts["other"] = self._earlier["other"] + max(0.0, here_s - sum(self._seconds.values()))
        return {**parts, "total": sum(parts.values())}

    def save(self) -> None:
        """Write the sums to disk, durably."""
        write_durably(self._path, json.dumps(self.totals()).encode())
