"""Plain Flower FedAvg over real processes: what fedmets' own transport is held against.

SuperLink and a SuperNode per site with Flower's default isolation, TLS on loopback, an ordinary app
(`simulation/bench/plain_app`): nothing of Flower's is patched or tuned, and the sites train nothing. One round to
warm up is not counted.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import FedmetsError
from common.launching import Launched, Program, launch
from common.model.build import build_model
from common.model.weights import weights_of
from common.plan import ModelSpec
from common.weights import to_safetensors
from server.flower_runs import submit_run
from server.superlink import LOOPBACK, free_port, is_healthy
from simulation.bench.plain_setup import (
    Scratch,
    superlink_argv,
    supernode_argv,
    write_app,
    write_certificates,
)
from simulation.bench.plain_watch import Line, Trial, await_line, last_words
from simulation.bench.relay import CountingRelay, Traffic

LARGE_MODEL = ModelSpec()  # 31.2 million parameters with two channels in and two classes out
_START_WITHIN_S = 60.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class PlainFlower:
    """Plain Flower with one number of sites.

    Attributes:
        round_seconds: of each round after the first.
        superlink_peak_bytes, serverapp_peak_bytes: high-water marks of resident memory.
        traffic: per site and round, TLS included; None unless it was counted, which disturbs the seconds.
    """

    sites: int
    parameters: int
    tensors: int
    round_seconds: tuple[float, ...]
    superlink_peak_bytes: int
    serverapp_peak_bytes: int
    traffic: Traffic | None = None

    @property
    def seconds(self) -> float:
        """Mean of the rounds: 26.0 and 28.0 s make 27.0 s."""
        return sum(self.round_seconds) / len(self.round_seconds)


def run(
    sites: int,
    model: ModelSpec = LARGE_MODEL,
    rounds: int = 2,
    round_within_s: float = 600.0,
    count_bytes: bool = False,
) -> PlainFlower:
    """Run FedAvg with so many sites in processes of their own, which are gone when this returns.

    Bytes do not depend on the number of sites; count them once, in a run that is not timed.

    Args:
        sites: SuperNodes.
        model: the network whose state dict travels as float32.
        rounds: after one to warm up.
        round_within_s: a round that takes longer fails the run.
        count_bytes: send the sites' connections through a counting relay.

    Raises:
        FedmetsError: Flower did not start, ended early or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="fedmets-plain-flower-") as name, ExitStack() as held:
        scratch = Scratch(Path(name), free_port())
        weights = weights_of(build_model(model, 2, 2, seed=0))
        scratch.model.write_bytes(to_safetensors(weights))
        write_app(scratch, sites, 1 + rounds)
        write_certificates(scratch)
        superlink = held.enter_context(_running("superlink", superlink_argv(scratch), scratch))
        _await_health(scratch, superlink)
        relay = held.enter_context(CountingRelay(scratch.port)) if count_bytes else None
        reached_at = relay.port if relay else scratch.port
        nodes = [
            held.enter_context(_running(f"node-{n}", supernode_argv(scratch, reached_at, n), scratch))
            for n in range(sites)
        ]
        run_id = submit_run(scratch.cli(), scratch.app, {})
        trial = Trial(scratch, run_id, (superlink, *nodes), round_within_s, relay)
        lines = [await_line(trial, number) for number in range(2 + rounds)]
        times = [line.at_s for line in lines]
        return PlainFlower(
            sites=sites,
            parameters=weights.vector.size,
            tensors=len(weights.layout),
            round_seconds=tuple(after - before for before, after in itertools.pairwise(times[1:])),
            superlink_peak_bytes=_peak_bytes(superlink),
            serverapp_peak_bytes=lines[-1].peak_bytes,
            traffic=_per_round(lines, sites * rounds) if relay else None,
        )


@contextmanager
def _running(name: str, argv: tuple[str, ...], scratch: Scratch) -> Iterator[Launched]:
    """A program of Flower's; everything that it started is killed at the end."""
    launched = launch(Program(name, argv, scratch.environment(), scratch.log(name)), scratch.mark)
    try:
        yield launched
    finally:
        launched.kill()


def _await_health(scratch: Scratch, superlink: Launched) -> None:
    end_s = time.monotonic() + _START_WITHIN_S
    while not is_healthy(LOOPBACK, scratch.port, scratch.authority):
        if superlink.poll() is not None or time.monotonic() > end_s:
            raise FedmetsError(f"plain Flower: flower-superlink did not start: {last_words(scratch, 'superlink')}")
        time.sleep(_POLL_S)


def _per_round(lines: list[Line], parts: int) -> Traffic:
    """Bytes between the end of the first round and the last, per site and round."""
    whole = lines[-1].traffic - lines[1].traffic
    return Traffic(whole.up // parts, whole.down // parts)


def _peak_bytes(launched: Launched) -> int:
    process, _ = launched.records()
    if process is None:
        return 0
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
