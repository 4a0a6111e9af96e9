from pathlib import Path

import pytest

from common.errors import ConfigError
from simulation.config import load_experiment
from tests.simulation.experiments import SITES, make_experiment

DATA = """
name = "own"
sequences = ["t1c"]
[data]
adapter = "nifti_folders"
root = "${FEDMETS_TEST_ROOT}/cases"
sequences = { t1c = "T1c*" }
[partition]
kind = "table"
file = "../tables/sites.csv"
"""


def test_paths_are_expanded_and_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMETS_TEST_ROOT", "data")
    (tmp_path / "configs").mkdir()
    path = tmp_path / "configs" / "own.toml"
    path.write_text(DATA)
    experiment = load_experiment(path)
    assert experiment.data is not None and experiment.partition.kind == "table"
    assert experiment.data.root == tmp_path / "configs" / "data" / "cases"
    assert experiment.partition.file == tmp_path / "tables" / "sites.csv"


def test_the_command_line_replaces_seed_and_workers(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(DATA.replace("${FEDMETS_TEST_ROOT}/", ""))
    own, other = load_experiment(path), load_experiment(path, seed=9, workers=4)
    assert (own.seed, own.runtime.workers) == (1, 1)
    assert (other.seed, other.runtime.workers) == (9, 4)


def test_how_it_is_run_is_no_part_of_what_it_is() -> None:
    assert make_experiment(workers=2).identity() == make_experiment(workers=1).identity()
    assert make_experiment(rounds=4).identity() != make_experiment(rounds=3).identity()


def test_the_plan_holds_what_the_sites_agree_on() -> None:
    plan = make_experiment(rounds=7).plan_for(SITES)
    assert (plan.sites, plan.federation.rounds, plan.seed) == (SITES, 7, 5)
    assert (plan.in_channels, plan.out_channels) == (1, 2)


def test_faults_between_settings_are_found_when_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(DATA.replace("${FEDMETS_TEST_ROOT}/", "").replace('["t1c"]', '["t1c", "t1c"]'))
    with pytest.raises(ConfigError, match=rf"^{path}: '\(top level\)': sequences holds a name twice"):
        load_experiment(path)
