from pathlib import Path

import pytest

from simulation.config import load_experiment
from tests.end_to_end.tiny import Ran, phantom_config, run_here
from tests.simulation.phantom.cohorts import write_cohort


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The tiny experiment from its beginning to its end; nobody may change its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return run_here(phantom_config(folder), folder / "out")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment's cases on disk; nobody may change them."""
    folder = tmp_path_factory.mktemp("cohort")
    experiment = load_experiment(phantom_config(folder))
    assert experiment.phantom is not None
    write_cohort(experiment.phantom, experiment.seed, folder / "cases")
    return folder / "cases"
