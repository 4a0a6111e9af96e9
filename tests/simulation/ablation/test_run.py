"""The order of an ablation, with rows that end at once."""

import io
from pathlib import Path

import pytest
import torch

from server.records import RunStatus
from simulation.ablation.config import PlannedRow, load_ablation
from simulation.ablation.results import RowResult
from simulation.ablation.rows import Setup
from simulation.ablation.run import run_ablation
from simulation.progress import PlainProgress
from tests.simulation.ablation.test_config import HEAD, MIRROR, SLOW, config
from tests.simulation.ablation.test_effects import model


def test_a_row_that_runs_out_of_memory_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ablation = load_ablation(config(tmp_path, HEAD + MIRROR + SLOW), workers=1)
    ran: list[str] = []

    def end(row: PlannedRow, setup: Setup) -> RowResult:
        ran.append(row.name)
        if row.name == "mirror":
            raise torch.OutOfMemoryError("CUDA out of memory, 3.9 GiB were asked for")
        (setup.folder / "rows" / row.row.folder_name).mkdir(parents=True)
        return RowResult(RunStatus.COMPLETED, tuple(model(0.5, 0.6) for _ in row.seeds), 1.0)

    monkeypatch.setattr("simulation.ablation.run.run_row", end)
    summary = run_ablation(ablation, tmp_path / "out", (), PlainProgress(io.StringIO()))
    assert (ran, summary.status) == (["base", "mirror", "Slow, slow"], "partial")
    assert "failed: out of memory; set a smaller evaluation.window_batch" in summary.text
    run_ablation(ablation, tmp_path / "out", (), PlainProgress(io.StringIO()))
    assert ran[3:] == ["mirror"]  # what failed is tried again, and nothing else
