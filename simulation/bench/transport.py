"""`fedmets-sim bench transport`: rounds without training over the real thing, beside plain Flower's FedAvg.

For each number of sites plain Flower comes first and then fedmets' own transport, once for each encoding, which is
that of both directions: the model on its way down and the updates on their way up. Bytes do not depend on the
number of sites and are counted at the end, in trials of their own, since the counting relay takes processor time.
"""

import secrets
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from common.cli import one_line
from common.compression import Encoding, encoded_bytes
from common.errors import FedmetsError
from common.model.build import build_model
from common.model.weights import weights_of
from common.plan import ModelSpec
from common.processes import send, with_variable
from common.supervisor_state import MARK
from simulation.bench import plain_flower
from simulation.bench.plain_flower import LARGE_MODEL, PlainFlower
from simulation.bench.raw_tls import raw_copy_s
from simulation.bench.relay import Traffic
from simulation.bench.transport_figures import TransportTrial
from simulation.bench.transport_trial import TrialOptions, run_trial

SMALL_MODEL = ModelSpec(name="unet_small", channels=(8, 16))
ENCODINGS: tuple[Encoding, ...] = ("float32", "float16", "int8")
_ROUND_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What to measure.

    Attributes:
        sites, encodings: every pair is a trial.
        rounds: of each, after one to warm up.
        plain: also plain Flower.
        gateway: sites come through it, as deployed.
        count: also the bytes on the wire.
    """

    sites: tuple[int, ...] = (2, 4, 8)
    encodings: tuple[Encoding, ...] = ENCODINGS
    rounds: int = 2
    plain: bool = True
    gateway: bool = True
    count: bool = True
    model: ModelSpec = LARGE_MODEL


@dataclass(slots=True)
class TransportBench:
    """What was measured so far.

    Attributes:
        parameters: of the network.
        trials, plain: in the order of `sites`; those that failed are missing.
        payload_bytes: by encoding: what is packed for each site and direction, before TLS and HTTP.
        traffic: by "plain" or encoding: counted bytes per site and round.
        raw_s: by (sites, encoding): the same payloads copied through TLS both ways.
        failures: what failed, and why, a line each.
    """

    options: TransportOptions
    parameters: int
    trials: list[TransportTrial] = field(default_factory=list)
    plain: list[PlainFlower] = field(default_factory=list)
    payload_bytes: dict[Encoding, int] = field(default_factory=dict)
    traffic: dict[str, Traffic] = field(default_factory=dict)
    raw_s: dict[tuple[int, Encoding], float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def plain_s(self, sites: int) -> float | None:
        """Seconds of plain Flower with so many sites; None when that was not measured."""
        return next((one.seconds for one in self.plain if one.sites == sites), None)


def run(options: TransportOptions, say: Callable[[str], None]) -> TransportBench:
    """Measure everything, one trial after the other; one that fails is noted, and the next one follows.

    Args:
        options: see `TransportOptions`.
        say: told a line before and after each trial.
    """
    parameters = weights_of(build_model(options.model, 2, 2, seed=0)).vector.size
    bench = TransportBench(options, parameters)
    bench.payload_bytes = {encoding: encoded_bytes(parameters, encoding) for encoding in options.encodings}
    for sites in options.sites:
        if options.plain:
            _attempt(bench, f"plain Flower, {sites} sites", say, partial(_plain, bench, sites))
        for encoding in options.encodings:
            _attempt(bench, f"fedmets {encoding}, {sites} sites", say, partial(_own, bench, sites, encoding))
    if options.count:
        _count(bench, say)
    return bench


def _attempt(bench: TransportBench, what: str, say: Callable[[str], None], trial: Callable[[], str]) -> None:
    say(f"{what} ...")
    begun_s = time.monotonic()
    try:
        came = trial()
    except Exception as error:  # noqa: BLE001 (a trial's edge: half an hour of other figures must not be lost)
        said = one_line(str(error)) if isinstance(error, FedmetsError) else one_line(repr(error))
        came = f"failed: {said}"
        bench.failures.append(f"{what}: {said}")
    say(f"{what}: {came} ({time.monotonic() - begun_s:.0f} s in all)")


def _plain(bench: TransportBench, sites: int) -> str:
    options = bench.options
    result = plain_flower.run(sites, options.model, options.rounds, _ROUND_WITHIN_S)
    bench.plain.append(result)
    return f"{result.seconds:.1f} s a round"


def _own(bench: TransportBench, sites: int, encoding: Encoding) -> str:
    options = bench.options
    trial = _trial(TrialOptions(sites, encoding, options.model, options.rounds, options.gateway, _ROUND_WITHIN_S))
    bench.trials.append(trial)
    bench.raw_s[sites, encoding] = raw_copy_s(sites, bench.payload_bytes[encoding])
    return f"{trial.seconds:.1f} s a round"


def _count(bench: TransportBench, say: Callable[[str], None]) -> None:
    options = bench.options
    for encoding in options.encodings:
        what = f"counting the bytes of {encoding}"
        _attempt(bench, what, say, partial(_count_own, bench, min(options.sites), encoding))
    if options.plain:
        _attempt(bench, "counting plain Flower's bytes", say, partial(_count_plain, bench, min(options.sites)))


def _count_own(bench: TransportBench, sites: int, encoding: Encoding) -> str:
    options = bench.options
    own = TrialOptions(sites, encoding, options.model, 1, options.gateway, _ROUND_WITHIN_S, count_bytes=True)
    return _counted(bench, encoding, _trial(own).traffic)


def _count_plain(bench: TransportBench, sites: int) -> str:
    result = plain_flower.run(sites, bench.options.model, 1, _ROUND_WITHIN_S, count_bytes=True)
    return _counted(bench, "plain", result.traffic)


def _counted(bench: TransportBench, what: str, traffic: Traffic | None) -> str:
    if traffic is None:
        raise FedmetsError("no bytes were counted")
    bench.traffic[what] = traffic
    return f"{traffic.down / 1e6:.1f} MB down and {traffic.up / 1e6:.1f} MB up a site"


def _trial(options: TrialOptions) -> TransportTrial:
    """One trial in a folder of its own, of which nothing is left, whatever became of it."""
    mark = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="fedmets-transport-", ignore_cleanup_errors=True) as name:
        try:
            return run_trial(options, Path(name) / "trial", mark)
        finally:
            send({*with_variable(MARK, mark), *with_variable("FLWR_HOME", name)}, signal.SIGKILL)
