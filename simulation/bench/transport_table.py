"""What was measured of the transport, for people and for machines."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from common.compression import Encoding
from simulation.bench.plain_flower import PlainFlower
from simulation.bench.transport import TransportBench
from simulation.bench.transport_figures import STAGES, TransportTrial

ASKED_RATIO: Mapping[Encoding, float] = {"float32": 0.50, "float16": 0.30, "int8": 0.22}
ASKED_AT_SITES = 8
ASKED_GROWTH = 0.15
_SERVER = ("serverapp", "superlink", "gateway", "superexec")
_ALL = (*_SERVER, "supernode", "worker")
_STAGE_WORDS: Mapping[str, str] = {
    "prepare": "select sites, encode the model",
    "seal": "hash and sign the task",
    "send": "hand it to SuperLink",
    "down": "until the last site has it in hand",
    "up": "until the last answer is fetched, the sites' desks included",
    "finish": "check and add the last, the mean, the step",
    "commit": "model and audit on disk",
}


def render(bench: TransportBench) -> str:
    """All tables and the verdicts, as lines for a terminal."""
    options = bench.options
    parts = [
        f"{bench.parameters:,} parameters, TLS on loopback, no training; rounds after one to warm up: "
        f"{options.rounds}",
        _payloads(bench),
        "",
        *_main_table(bench),
        "",
        *_stage_table(bench.trials),
        "",
        *_processor_table(bench.trials),
        "",
        *verdicts(bench),
        *(f"FAILED {line}" for line in bench.failures),
    ]
    return "\n".join(parts)


def to_json(bench: TransportBench) -> str:
    """Everything as one JSON object."""
    trials: list[dict[str, Any]] = []
    for trial in bench.trials:
        raw_s = bench.raw_s.get((trial.sites, trial.encoding))
        own = {"seconds": trial.seconds, "of_plain": ratio(bench, trial), "raw_tls_s": raw_s}
        trials.append({**asdict(trial), **own})
    return json.dumps(
        {
            "schema": 1,
            "parameters": bench.parameters,
            "rounds": bench.options.rounds,
            "gateway": bench.options.gateway,
            "plain": [{**asdict(one), "seconds": one.seconds} for one in bench.plain],
            "trials": trials,
            "payload_bytes": bench.payload_bytes,
            "traffic": {what: asdict(traffic) for what, traffic in bench.traffic.items()},
            "serverapp_growth": {encoding: growth(bench.trials, encoding) for encoding in bench.options.encodings},
            "failures": bench.failures,
        }
    )


def ratio(bench: TransportBench, trial: TransportTrial) -> float | None:
    """Seconds of a round over plain Flower's with as many sites: 30 of 100 s are 0.30. None without those."""
    plain_s = bench.plain_s(trial.sites)
    return None if plain_s is None else trial.seconds / plain_s


def growth(trials: Iterable[TransportTrial], encoding: Encoding) -> float | None:
    """How much the ServerApp's peak grows from the fewest sites to the most: 1,150 MB after 1,000 are 0.15."""
    peaks = {one.sites: one.processes["serverapp"].peak_bytes for one in trials if one.encoding == encoding}
    return peaks[max(peaks)] / peaks[min(peaks)] - 1.0 if len(peaks) > 1 else None


def verdicts(bench: TransportBench) -> list[str]:
    """What was asked for, against what came of it, where it was measured."""
    lines = []
    for trial in bench.trials:
        of_plain = ratio(bench, trial)
        if trial.sites == ASKED_AT_SITES and of_plain is not None:
            asked = ASKED_RATIO[trial.encoding]
            word, what = "reached" if of_plain <= asked else "MISSED", f"{trial.encoding} at {trial.sites} sites"
            lines.append(f"{what}: {of_plain:.2f} of plain Flower's time, asked at most {asked:.2f}: {word}")
    for encoding in bench.options.encodings:
        grown = growth(bench.trials, encoding)
        if grown is not None:
            sites = [one.sites for one in bench.trials if one.encoding == encoding]
            word = "reached" if grown <= ASKED_GROWTH else "MISSED"
            lines.append(
                f"ServerApp's peak with {encoding}, {min(sites)} to {max(sites)} sites: {grown:+.1%}, "
                f"asked at most {ASKED_GROWTH:.0%}: {word}"
            )
    return lines


def _payloads(bench: TransportBench) -> str:
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in bench.payload_bytes.items())
    return f"the model on its way down and each update on its way up are packed alike: {sizes}"


def _main_table(bench: TransportBench) -> list[str]:
    head = [
        "sites",
        "transport",
        "round s",
        "of plain",
        "aggregate s",
        "commit s",
        "raw TLS s",
        "MB down",
        "MB up",
    ]
    rows = [[*head, *(f"{name} MB" for name in _SERVER)]]
    for sites in bench.options.sites:
        rows += [_plain_row(bench, one) for one in bench.plain if one.sites == sites]
        rows += [_own_row(bench, one) for one in bench.trials if one.sites == sites]
    return ["a round, bytes of a site in it, and peaks of resident memory", *table(rows)]


def _plain_row(bench: TransportBench, one: PlainFlower) -> list[str]:
    peaks = [_mb(one.serverapp_peak_bytes), _mb(one.superlink_peak_bytes), "-", "-"]
    return [
        str(one.sites),
        "plain Flower",
        f"{one.seconds:.1f}",
        "1.00",
        "-",
        "-",
        "-",
        *_wire(bench, "plain"),
        *peaks,
    ]


def _own_row(bench: TransportBench, one: TransportTrial) -> list[str]:
    of_plain, raw_s = ratio(bench, one), bench.raw_s.get((one.sites, one.encoding))
    peaks = [_mb(one.processes[name].peak_bytes) if name in one.processes else "-" for name in _SERVER]
    return [
        str(one.sites),
        f"fedmets {one.encoding}",
        f"{one.seconds:.1f}",
        "-" if of_plain is None else f"{of_plain:.2f}",
        f"{one.aggregate_s:.2f}",
        f"{one.commit_s:.2f}",
        "-" if raw_s is None else f"{raw_s:.1f}",
        *_wire(bench, one.encoding),
        *peaks,
    ]


def _wire(bench: TransportBench, what: str) -> list[str]:
    traffic = bench.traffic.get(what)
    return ["-", "-"] if traffic is None else [f"{traffic.down / 1e6:.1f}", f"{traffic.up / 1e6:.1f}"]


def _stage_table(trials: Sequence[TransportTrial]) -> list[str]:
    beside = list(trials[0].beside) if trials else []
    rows = [["sites", "encoding", *STAGES, *beside]]
    for one in trials:
        spent = [one.stages[stage] for stage in STAGES] + [one.beside[name] for name in beside]
        rows.append([str(one.sites), one.encoding, *(f"{seconds:.2f}" for seconds in spent)])
    words = [f"  {stage}: {_STAGE_WORDS[stage]}" for stage in STAGES]
    head = "where a round's seconds go, one after the other; the last columns, means of each, go on within them"
    return [head, *words, *table(rows)]


def _processor_table(trials: Sequence[TransportTrial]) -> list[str]:
    rows = [["sites", "encoding", *_ALL, "all", "cores idle"]]
    for one in trials:
        spent = [one.processes[name].cpu_s if name in one.processes else 0.0 for name in _ALL]
        figures = [*(f"{seconds:.1f}" for seconds in (*spent, sum(spent))), f"{one.idle_share:.0%}"]
        rows.append([str(one.sites), one.encoding, *figures])
    return ["processor seconds a round; SuperNodes and workers of all sites together", *table(rows)]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns set flush right, those of names flush left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(map(_set, row, rows[0], widths)).rstrip() for row in rows]


def _set(cell: str, column: str, width: int) -> str:
    return cell.ljust(width) if column in ("transport", "encoding") else cell.rjust(width)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f}"
