"""What processes cost, as /proc tells: processor time and the high-water mark of memory."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """One process since its start.

    Attributes:
        cpu_s: of its own threads; a child counts for itself.
        peak_bytes: of resident memory.
    """

    cpu_s: float
    peak_bytes: int

    def since(self, earlier: "ProcessFigures") -> "ProcessFigures":
        """The processor time in between, and the peak so far."""
        return ProcessFigures(self.cpu_s - earlier.cpu_s, self.peak_bytes)


NOTHING = ProcessFigures(0.0, 0)


class ProcessWatch:
    """The last figures of some processes, which stand when a process has ended; look often."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._figures: dict[str, ProcessFigures] = {}

    def add(self, name: str, pid: int) -> None:
        """Watch a process under a name; one that took another's place begins anew."""
        self._pids[name] = pid

    def look(self) -> Mapping[str, ProcessFigures]:
        """The figures now."""
        for name, pid in self._pids.items():
            figures = figures_of(pid)
            if figures is not None:
                self._figures[name] = figures
        return dict(self._figures)


def figures_of(pid: int) -> ProcessFigures | None:
    """One process's figures; None when it is not there, or only waits to be waited for."""
    with contextlib.suppress(OSError, StopIteration):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        peak_bytes = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
        return ProcessFigures((int(fields[11]) + int(fields[12])) / _TICKS_PER_S, peak_bytes)
    return None


def idle_s() -> float:
    """Processor time since boot, of all cores together, in which nobody had work."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()
    return (int(fields[4]) + int(fields[5])) / _TICKS_PER_S
