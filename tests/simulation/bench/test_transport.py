"""`fedmets-sim bench transport`: tables and verdicts, one trial failing, and one over real processes."""

import json
from pathlib import Path

import pytest

from common.cli import run_app
from common.errors import FedmetsError
from common.processes import with_variable
from simulation.bench import transport
from simulation.bench.plain_flower import PlainFlower
from simulation.bench.process_figures import ProcessFigures
from simulation.bench.raw_tls import raw_copy_s
from simulation.bench.relay import Traffic
from simulation.bench.transport import SMALL_MODEL, TransportBench, TransportOptions, run
from simulation.bench.transport_figures import STAGES, TransportTrial
from simulation.bench.transport_table import growth, ratio, render, table, to_json, verdicts
from simulation.bench.transport_trial import TrialOptions
from simulation.cli import app


def made(sites: int, seconds: float, peak_bytes: int) -> TransportTrial:
    return TransportTrial(
        sites=sites,
        encoding="float16",
        gateway=True,
        round_seconds=(seconds - 1.0, seconds + 1.0),
        aggregate_s=0.5,
        commit_s=0.25,
        stages=dict.fromkeys(STAGES, seconds / len(STAGES)),
        beside={"site works": 0.1},
        processes={"serverapp": ProcessFigures(1.5, peak_bytes), "superlink": ProcessFigures(2.5, 700_000_000)},
        idle_share=0.25,
        traffic=None,
    )


def bench() -> TransportBench:
    found = TransportBench(TransportOptions(sites=(2, 8), encodings=("float16",)), 31_195_784)
    found.plain.append(PlainFlower(8, 31_195_784, 62, (99.0, 101.0), 1_300_000_000, 1_600_000_000))
    found.trials += [made(2, 10.0, 1_000_000_000), made(8, 26.0, 1_120_000_000)]
    found.payload_bytes["float16"] = 62_391_568
    found.traffic["float16"] = Traffic(up=63_100_000, down=62_900_000)
    found.raw_s[8, "float16"] = 1.7
    return found


def test_a_trial_is_held_against_plain_flower_with_as_many_sites() -> None:
    found = bench()
    assert [ratio(found, trial) for trial in found.trials] == [None, 0.26]
    assert growth(found.trials, "float16") == pytest.approx(0.12)
    assert growth(found.trials[:1], "float16") is None
    assert verdicts(found) == [
        "float16 at 8 sites: 0.26 of plain Flower's time, asked at most 0.30: reached",
        "ServerApp's peak with float16, 2 to 8 sites: +12.0%, asked at most 15%: reached",
    ]
    found.trials[1] = made(8, 31.0, 1_160_000_000)
    assert [line.rpartition(" ")[2] for line in verdicts(found)] == ["MISSED", "MISSED"]


def test_the_table_names_what_was_measured_and_leaves_out_what_was_not() -> None:
    text = render(bench()).splitlines()
    plain, own = (next(line.split() for line in text if f" 8  {name}" in line) for name in ("plain", "fedmets"))
    assert plain == ["8", "plain", "Flower", "100.0", "1.00", *"-----", "1600", "1300", "-", "-"]
    figures = ["26.0", "0.26", "0.50", "0.25", "1.7", "62.9", "63.1", "1120", "700", "-", "-"]
    assert own == ["8", "fedmets", "float16", *figures]
    assert "packed alike: float16 62.4 MB" in text[1]
    assert table([["sites", "encoding"], ["8", "int8"]]) == ["sites  encoding", "    8  int8"]


def test_json_holds_the_figures_and_the_failures() -> None:
    found = bench()
    found.failures.append("fedmets int8, 8 sites: no")
    told = json.loads(to_json(found))
    assert [(trial["sites"], trial["seconds"], trial["of_plain"]) for trial in told["trials"]] == [
        (2, 10.0, None),
        (8, 26.0, 0.26),
    ]
    assert told["trials"][1]["processes"]["serverapp"] == {"cpu_s": 1.5, "peak_bytes": 1_120_000_000}
    assert (told["plain"][0]["seconds"], told["traffic"]["float16"]["up"]) == (100.0, 63_100_000)
    assert told["failures"] == ["fedmets int8, 8 sites: no"]


def test_a_trial_that_fails_is_told_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(options: TrialOptions, folder: Path, mark: str) -> TransportTrial:
        if options.encoding == "float32":
            raise FedmetsError("round 1: the disk\nis full")
        return made(options.sites, 8.0, 1)

    monkeypatch.setattr(transport, "run_trial", trial)
    said: list[str] = []
    options = TransportOptions((2,), ("float32", "float16"), plain=False, count=False, model=SMALL_MODEL)
    found = run(options, said.append)
    assert [one.encoding for one in found.trials] == ["float16"]
    assert found.failures == ["fedmets float32, 2 sites: round 1: the disk is full"]
    assert found.payload_bytes == {"float32": 4 * 5956, "float16": 2 * 5956}
    assert "FAILED fedmets float32, 2 sites" in render(found)
    assert said[1].startswith("fedmets float32, 2 sites: failed: round 1")


def test_a_raw_copy_goes_both_ways() -> None:
    assert raw_copy_s(3, 1_000_000) > 0.0


@pytest.mark.parametrize("wrong", [["--sites", "2,two"], ["--sites", "0"], ["--encodings", "float8"]])
def test_options_that_make_no_sense_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, "fedmets-sim", ["bench", "transport", *wrong]) == 2
    assert f"{wrong[0]} '{wrong[1]}'" in capsys.readouterr().err


@pytest.mark.chaos
def test_a_small_model_goes_to_and_fro_between_real_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    options = TransportOptions((2,), ("int8",), rounds=1, plain=False, count=False, model=SMALL_MODEL)
    found = run(options, lambda line: None)
    assert found.failures == []
    (trial,) = found.trials
    assert (trial.sites, trial.encoding, len(trial.round_seconds)) == (2, "int8", 1)
    assert set(trial.processes) == {"gateway", "superlink", "superexec", "serverapp", "supernode", "worker"}
    assert all(figures.peak_bytes > 40e6 for figures in trial.processes.values())
    assert sum(trial.stages.values()) == pytest.approx(trial.seconds)
    assert min(trial.stages[stage] for stage in ("send", "down", "up", "commit")) > 0.0
    assert min(trial.beside.values()) > 0.0
    assert with_variable("FLWR_HOME", str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
