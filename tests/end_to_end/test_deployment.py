"""The whole of it as real processes: the same bits as in one process, and nothing that leaks or is left behind."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from server.superlink import executable
from tests.end_to_end.live import at_work_in
from tests.end_to_end.tiny import Ran, phantom_config


def test_a_deployment_has_the_very_model_of_a_run_in_one_process(undisturbed: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fedmets_sim("deploy", str(phantom_config(tmp_path)), "--out", str(out))
    assert told_of_rounds(out) == told_of_rounds(undisturbed.folder)
    missing = {path.name for path in undisturbed.folder.iterdir()} - {path.name for path in out.iterdir()}
    assert missing == {"baselines"}
    assert at_work_in(tmp_path) == []


def test_flowers_simulation_engine_has_it_too(undisturbed: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = phantom_config(tmp_path)
    fedmets_sim("run", str(config), "--out", str(out), "--arms", "federated", "--engine", "flower")
    assert told_of_rounds(out) == told_of_rounds(undisturbed.folder)


def fedmets_sim(*arguments: str) -> None:
    command = [executable("fedmets-sim"), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=280.0, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-3000:]


def told_of_rounds(folder: Path) -> list[dict[str, Any]]:
    """Models and outcomes, losses and scores of every round; durations apart, which no two runs share."""
    rounds: list[dict[str, Any]] = json.loads((folder / "result.json").read_bytes())["rounds"]
    return [
        {
            "model_sha256": record["model_sha256"],
            "sites": [{key: site[key] for key in site if "seconds" not in key} for site in record["sites"]],
        }
        for record in rounds
    ]
