"""From the last byte of a task at a site to the site's first step, over real processes and TLS.

One site of a whole federation: aggregator, gateway, SuperNode, worker, desk and training process. A relay before
the gateway notes when the last piece of the task went down to the SuperNode. From there on everything counts:
Flower's SuperNode, the worker's questions to it, the loopback, the desk, handing over.
"""

import json
import secrets
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common.plan import ModelSpec
from common.processes import send, with_variable
from common.supervisor_state import MARK
from simulation.bench.idle_site import TIMES_FILE
from simulation.bench.relay import ArrivalRelay
from simulation.bench.transport_trial import TrialOptions, run_trial
from simulation.bench.warm import ASKED_S, ONE_STEP
from simulation.bench.warm_site import MARKS_FILE

_SITE = "site-1"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One task's way at a warm site, in seconds from the moment when its last byte went down to the SuperNode.

    Attributes:
        taken_s: the worker holds the message, whole.
        first_step_s: the first forward pass begins.
    """

    taken_s: float
    first_step_s: float


def run(rounds: int, model: ModelSpec) -> tuple[Arrival, ...]:
    """`rounds` tasks of one small step each, after one that warms the site up.

    Raises:
        FedmetsError: as `run_trial`.
    """
    relays: list[ArrivalRelay] = []

    def new_relay(port: int) -> ArrivalRelay:
        relays.append(ArrivalRelay(port))
        return relays[-1]

    options = TrialOptions(
        1, "float32", model, rounds, count_bytes=True, worker="simulation.bench.warm_site", training=ONE_STEP
    )
    mark = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="fedmets-arrival-", ignore_cleanup_errors=True) as name:
        site_dir = Path(name) / "trial" / _SITE
        try:
            run_trial(options, Path(name) / "trial", mark, new_relay)
            return arrivals_of(site_dir, relays[0])[1:]
        finally:
            send({*with_variable(MARK, mark), *with_variable("FLWR_HOME", name)}, signal.SIGKILL)


def render(arrivals: tuple[Arrival, ...]) -> str:
    """The outcome as lines for a terminal."""
    steps = [one.first_step_s for one in arrivals]
    return "\n".join(
        (
            f"last byte at the site to first step  {statistics.median(steps):6.3f} s, at most {max(steps):.3f} s "
            f"(under {ASKED_S:g} s asked for; {len(arrivals)} rounds over TLS)",
            f"    of it until the worker has it    {statistics.median(one.taken_s for one in arrivals):6.3f} s",
        )
    )


def arrivals_of(site_dir: Path, relay: ArrivalRelay) -> tuple[Arrival, ...]:
    """One for each task in which a step was taken; what the site wrote down is on two clocks of one machine."""
    to_wall_s = time.time() - time.monotonic()
    forwards = [to_wall_s + float(line) for line in (site_dir / MARKS_FILE).read_text().split()]
    found = []
    for line in (site_dir / TIMES_FILE).read_text().splitlines():
        task = json.loads(line)
        taken_at = task["taken_at"] + task["take_s"]
        steps = [at for at in forwards if taken_at < at < taken_at + task["work_s"]]
        if steps:
            arrived_at = relay.last_before(taken_at)
            found.append(Arrival(taken_at - arrived_at, steps[0] - arrived_at))
    return tuple(found)
