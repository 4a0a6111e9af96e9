"""What an aggregator that died leaves at Flower."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.provisioning import ServerFolder
from server.run_folder import RunFolder, RunProgress
from server.running import end_leftover
from tests.server.flower_double import FlowerDouble
from tests.trust import make_lab

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    server: ServerFolder = make_lab(tmp_path / "lab").server
    folder = RunFolder(server, "ab" * 32)
    folder.make()
    progress = RunProgress(phase="training", rounds=3, began_at=NOW, changed_at=NOW, flower_run=17)
    folder.write(progress, NOW)
    return folder


def listed(status: str) -> dict[str, object]:
    return {"run-id": "17", "status": status, "fab-hash": "ab", "status-details": ""}


@pytest.mark.parametrize(("status", "stops"), [("running", [["stop", "17", "fedmets"]]), ("finished:failed", [])])
def test_a_run_whose_process_is_gone_is_ended_at_flower_too(
    run: RunFolder, tmp_path: Path, status: str, stops: list[list[str]]
) -> None:
    flower = FlowerDouble(tmp_path / "flower")
    flower.set(answers={"ls": {"runs": [listed(status)]}, "stop": {}})
    assert end_leftover(run, flower.cli) is bool(stops)
    assert flower.calls()[1:] == stops


def test_a_run_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder(make_lab(tmp_path / "lab").server, "cd" * 32)
    assert not end_leftover(folder, FlowerDouble(tmp_path / "flower").cli)
