import io
import json
from pathlib import Path

import pytest

from common.errors import OutputError
from simulation.config import Experiment
from simulation.progress import PlainProgress, Progress
from simulation.run import Finished, Options
from simulation.study import run_study, study_status
from tests.simulation.experiments import make_experiment
from tests.simulation.report.fixture import made_up_result


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (("completed", "completed"), "completed"),
        (("completed", "partial"), "partial"),
        (("partial", "partial"), "partial"),
        (("completed", "failed"), "failed"),
        (("partial", "failed"), "failed"),
    ],
)
def test_a_study_is_as_good_as_its_worst_seed(ends: tuple[str, ...], status: str) -> None:
    assert study_status([{"status": end} for end in ends]) == status


def test_every_seed_has_a_folder_and_all_are_summarised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[Path] = []

    def fake_run(experiment: Experiment, folder: Path, options: Options, progress: Progress) -> Finished:
        folders.append(folder)
        result = {**made_up_result(experiment.seed, rounds=2), "status": "completed"}
        return Finished("completed", f"ran seed {experiment.seed}", result)

    monkeypatch.setattr("simulation.study.run_experiment", fake_run)
    stream = io.StringIO()
    options = Options(("federated", "pooled"), "")
    summary = run_study(make_experiment(), tmp_path / "study", 3, options, PlainProgress(stream))
    assert folders == [tmp_path / "study" / f"seed-{seed}" for seed in (5, 6, 7)]
    assert summary.status == "completed"
    assert {path.name for path in (tmp_path / "study").glob("study.*")} == {"study.json", "study.html", "study.md"}
    written = json.loads((tmp_path / "study" / "study.json").read_bytes())
    assert [result["seed"] for result in written["results"]] == [5, 6, 7]
    assert "seed 6 (2 of 3)" in stream.getvalue()


def test_a_folder_of_other_things_is_refused_before_the_first_seed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match="not made by fedmets-sim"):
        run_study(make_experiment(), tmp_path, 2, Options(("federated",), ""), PlainProgress(io.StringIO()))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
