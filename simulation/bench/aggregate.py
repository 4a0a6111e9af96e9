"""How fast and in how much memory updates are averaged, against bare numpy on the same machine.

Each number of sites runs in a fresh process, since peak memory is a process's own high-water mark. First the
mean of that many updates is formed with one update in memory at a time, and the peak is read; then the mean and
`acc += w * x` in float32 are timed by turns on the same updates. Memory has by then been touched once, so that
neither pays for the machine's first use of its pages.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from common.errors import FedmetsError
from common.weights import Vector
from server.aggregation.mean import WeightedMean

WEIGHT = 37
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class AggregateBench:
    """One number of sites.

    Attributes:
        seconds: making the accumulator, adding every site's update and forming the mean.
        numpy_seconds: making an accumulator and `acc += w * x` for every site's update.
        peak_bytes: high-water mark of resident memory above the start, the one update buffer included.
    """

    sites: int
    parameters: int
    seconds: float
    numpy_seconds: float
    peak_bytes: int

    @property
    def gb_per_s(self) -> float:
        """Bytes of updates (4 a parameter and site) per second, in 10^9."""
        return 4 * self.parameters * self.sites / self.seconds / 1e9

    @property
    def ratio(self) -> float:
        """Our rate over numpy's: 1.0 is as fast."""
        return self.numpy_seconds / self.seconds


def run(sites: Sequence[int] = (2, 8, 32), parameters: int = 31_200_000) -> tuple[AggregateBench, ...]:
    """Measure each number of sites in a process of its own; raises FedmetsError when one fails."""
    return tuple(_in_fresh_process(count, parameters) for count in sites)


def render(benches: Sequence[AggregateBench]) -> str:
    """A table for the terminal."""
    lines = [
        f"weighted mean of updates, {benches[0].parameters:,} parameters each",
        "sites  seconds   GB/s  rate/numpy  peak MB above start",
    ]
    lines += [
        f"{bench.sites:5d}  {bench.seconds:7.3f}  {bench.gb_per_s:5.2f}  {bench.ratio:10.2f}  "
        f"{bench.peak_bytes / 1e6:19.0f}"
        for bench in benches
    ]
    return "\n".join(lines)


def measure(sites: int, parameters: int) -> AggregateBench:
    """Measure one number of sites in this process, which should be a fresh one."""
    rng = np.random.default_rng(0)
    start_bytes = _peak_bytes()
    update = np.empty(parameters, np.float32)
    mean = WeightedMean(parameters)
    for _ in range(sites):
        rng.random(dtype=np.float32, out=update)
        mean.add(update, WEIGHT)
    mean.mean()
    peak_bytes = _peak_bytes() - start_bytes
    del mean
    seconds, numpy_seconds = _time_by_turns(sites, update, rng)
    return AggregateBench(sites, parameters, seconds, numpy_seconds, peak_bytes)


def _time_by_turns(sites: int, update: Vector, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds of the mean and of bare numpy over the same updates, one update each by turns."""
    start_s = time.perf_counter()
    mean = WeightedMean(update.size)
    seconds = time.perf_counter() - start_s
    start_s = time.perf_counter()
    total = np.zeros(update.size, np.float32)
    numpy_seconds = time.perf_counter() - start_s
    for _ in range(sites):
        rng.random(dtype=np.float32, out=update)
        start_s = time.perf_counter()
        mean.add(update, WEIGHT)
        middle_s = time.perf_counter()
        total += np.float32(WEIGHT) * update
        numpy_seconds += time.perf_counter() - middle_s
        seconds += middle_s - start_s
    start_s = time.perf_counter()
    mean.mean()
    return seconds + time.perf_counter() - start_s, numpy_seconds


def _peak_bytes() -> int:
    """This process's high-water mark of resident memory; 0 where /proc does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _in_fresh_process(sites: int, parameters: int) -> AggregateBench:
    command = [sys.executable, "-m", "simulation.bench.aggregate", str(sites), str(parameters)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise FedmetsError(f"bench aggregate with {sites} sites of {parameters} parameters failed: {last}")
    return AggregateBench(**json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1]), int(sys.argv[2])))))
