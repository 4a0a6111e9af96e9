import json
from pathlib import Path

import pytest

from common.cli import run_app
from simulation.cli import app
from tests.end_to_end.tiny import data_config


def run_study(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, list[str]]:
    """Exit code, and the lines on stdout."""
    code = run_app(app, "fedmets-sim", ["study", *map(str, argv), "--seeds", "2", "--arms", "federated"])
    return code, capsys.readouterr().out.splitlines()


def test_a_study_repeats_the_run_over_seeds(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = data_config(tmp_path, cohort), tmp_path / "study"
    code, lines = run_study(capsys, config, "--out", out, "--json")
    assert code == 0
    assert json.loads(lines[-1]) == {"event": "result", "status": "completed", "path": str(out / "study.json")}
    results = json.loads((out / "study.json").read_bytes())["results"]
    assert [result["seed"] for result in results] == [3, 4]
    assert results[0]["model"]["sha256"] != results[1]["model"]["sha256"]
    assert "not a medical device" in (out / "study.html").read_text(encoding="utf-8")

    code, lines = run_study(capsys, config, "--out", out)  # reads back what is finished
    assert (code, lines[0]) == (0, (out / "study.md").read_text(encoding="utf-8").splitlines()[0])
    again = json.loads((out / "study.json").read_bytes())["results"]
    assert [result["model"] for result in again] == [result["model"] for result in results]
