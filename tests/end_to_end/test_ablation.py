import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from common.cli import run_app
from simulation.cli import app
from tests.end_to_end.tiny import data_config

ROWS = """
[ablation]
base_seeds = 2
seeds = 2

[[rows]]
name = "slow"
group = "training"
set = { "training.learning_rate" = 0.001 }

[[rows]]
name = "low threshold"
kind = "predict"
set = { "evaluation.threshold" = 0.2 }

[[rows]]
name = "together"
kind = "ensemble"
"""


def ablation_config(folder: Path, cohort: Path, rows: str = ROWS) -> Path:
    path = data_config(folder, cohort)
    path.write_text(path.read_text(encoding="utf-8") + rows, encoding="utf-8")
    return path


def ablate(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, list[str], str]:
    """Exit code, the lines on stdout, and stderr."""
    code = run_app(app, "fedmets-sim", ["ablation", *map(str, argv)])
    told = capsys.readouterr()
    return code, told.out.splitlines(), told.err


def rows_of(out: Path) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads((out / "ablation.json").read_bytes())["rows"]}


def fingerprints(folder: Path) -> dict[str, tuple[int, str]]:
    """Time and content of all that a finished row left, its lock and its clock aside."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", "seconds.json")]
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def test_one_row_then_an_interruption_then_the_whole_table(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = ablation_config(tmp_path, cohort), tmp_path / "out"
    code, _, _ = ablate(capsys, config, "--out", out, "--row", "low threshold")
    assert code == 0
    assert {name: row["status"] for name, row in rows_of(out).items()} == {
        "base": "completed",
        "slow": "not run",
        "low threshold": "completed",
        "together": "not run",
    }
    finished = {name: fingerprints(out / "rows" / name) for name in ("base", "low-threshold")}
    assert all(finished.values())

    told = 0

    def describe(record: Any) -> str:
        nonlocal told
        told += 1
        if told == 5:  # the second round of the second seed
            raise KeyboardInterrupt
        return "a round"

    with monkeypatch.context() as patched:
        patched.setattr("simulation.engine.describe_round", describe)
        code, _, err = ablate(capsys, config, "--out", out)
    assert code == 130
    assert "goes on where this one stopped" in err

    code, lines, err = ablate(capsys, config, "--out", out, "--json")
    assert code == 0
    events = [json.loads(line) for line in lines]
    assert events[-1] == {"event": "result", "status": "completed", "path": str(out / "ablation.json")}
    steps = [event["text"] for event in events if event["event"] == "step"]
    assert [text.split(":")[0] for text in steps] == ["slow, seed 4", "together"]  # what was left, and no more
    assert finished == {name: fingerprints(out / "rows" / name) for name in finished}

    rows = rows_of(out)
    assert [row["seeds"] for row in rows.values()] == [[3, 4]] * 4
    assert [len(row["per_model"]) for row in rows.values()] == [2, 2, 2, 1]
    assert rows["slow"]["effects"]["dice"]["estimate"] == pytest.approx(
        rows["slow"]["scores"]["dice"] - rows["base"]["scores"]["dice"]
    )
    for name in ("ablation.html", "ablation.md"):
        assert "not a medical device" in (out / name).read_text(encoding="utf-8").replace("Not", "not")
    trained = json.loads((out / "rows/slow/seed-3/scores/federated.json").read_bytes())["model_sha256"]
    assert trained != json.loads((out / "rows/base/seed-3/scores/federated.json").read_bytes())["model_sha256"]

    (out / "rows/base/row.json").unlink()  # then what the base's models predicted is asked of them again
    code, lines, err = ablate(capsys, config, "--out", out, "--json")
    steps = [event["text"] for event in map(json.loads, lines) if event["event"] == "step"]
    assert (code, sorted(steps)) == (0, ["low threshold, seed 3", "low threshold, seed 4", "together"])
    assert rows_of(out)["slow"] == rows["slow"]


def test_a_row_that_fails_does_not_stop_the_others(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = """
[ablation]
base_seeds = 1
seeds = 1

[[rows]]
name = "hopeless"
set = { "training.learning_rate" = 1e30, "training.gradient_clip_norm" = 1e30 }

[[rows]]
name = "equal"
set = { "federation.weighting" = "equal" }
"""
    out = tmp_path / "out"
    code, lines, err = ablate(capsys, ablation_config(tmp_path, cohort, rows), "--out", out, "--workers", "1")
    assert code == 3
    assert "row 'hopeless' failed: seed 3: no round met its quorum" in err
    assert "remove rows/hopeless/seed-3 to train it anew" in " ".join(err.split())
    found = rows_of(out)
    assert (found["hopeless"]["status"], found["equal"]["status"]) == ("failed", "completed")
    assert found["equal"]["verdict"] == "cannot be judged: no interval"  # one training has no noise to see
    assert any(line.startswith("hopeless  failed: seed 3") for line in lines)


def test_faults_are_found_before_anything_is_computed(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = ablation_config(tmp_path, cohort), tmp_path / "out"
    code, _, err = ablate(capsys, config, "--out", out, "--row", "fast")
    assert (code, "there are: base, slow, low threshold, together" in err) == (2, True)
    config = ablation_config(tmp_path, cohort, ROWS.replace("training.learning_rate", "training.learning_rat"))
    code, _, err = ablate(capsys, config, "--out", out)
    assert (code, "row 'slow': unknown key 'training.learning_rat'" in err) == (2, True)
    assert not out.exists()


def test_the_rows_are_listed(tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = ablate(capsys, ablation_config(tmp_path, cohort), "--list")
    assert code == 0
    assert [line.split("  ")[0] for line in lines] == ["base", "slow", "low threshold", "together"]
    assert "training.learning_rate = 0.001" in lines[1]
