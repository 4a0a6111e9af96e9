"""configs/deploy.toml as real processes: the bits of a run in one process, nothing leaks or is left behind."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.superlink import executable
from tests.end_to_end.live import at_work_in
from tests.end_to_end.tiny import Ran, run_here

CONFIG = Path(__file__).parents[2] / "configs" / "deploy.toml"


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """What `fedmets-sim run --arms federated` makes of it, in this process; nobody may change its folder."""
    return run_here(CONFIG, tmp_path_factory.mktemp("one-process") / "out", ("federated",))


def test_a_deployment_has_the_very_model_of_a_run_in_one_process(in_one_process: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fedmets_sim("deploy", str(CONFIG), "--out", str(out))
    assert_same_bits(out, in_one_process.folder)
    assert {path.name for path in in_one_process.folder.iterdir()} <= {path.name for path in out.iterdir()}
    assert at_work_in(tmp_path) == []


def test_flowers_simulation_engine_has_it_too(in_one_process: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--arms", "federated", "--engine", "flower", "--workers", "1")  # two would import torch twice
    fedmets_sim("run", str(CONFIG), "--out", str(out), *options)
    assert_same_bits(out, in_one_process.folder)


def fedmets_sim(*arguments: str) -> None:
    command = [executable("fedmets-sim"), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=400.0, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-3000:]


def assert_same_bits(folder: Path, expected: Path) -> None:
    """The final model, and all that is told of the rounds: three sites' work in each of six."""
    ours, theirs = (json.loads((one / "result.json").read_bytes()) for one in (folder, expected))
    assert told_of_rounds(ours) == told_of_rounds(theirs)
    assert ours["model"]["sha256"] == theirs["model"]["sha256"] == theirs["rounds"][-1]["model_sha256"]
    outcomes = [[site["outcome"] for site in record["sites"]] for record in ours["rounds"]]
    assert outcomes == 6 * [3 * ["accepted"]]


def told_of_rounds(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Models and outcomes, losses and scores of every round; durations apart, which no two runs share."""
    return [
        {
            "model_sha256": record["model_sha256"],
            "sites": [{key: site[key] for key in site if "seconds" not in key} for site in record["sites"]],
        }
        for record in result["rounds"]
    ]
