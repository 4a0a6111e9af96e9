import io
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError
from simulation.config import load_experiment
from simulation.pool import Workers
from simulation.prepare import prepare_sites
from simulation.progress import PlainProgress
from simulation.sites import Prepared
from tests.nifti import write_nifti

CONFIG = """
name = "small"
sequences = ["t1c"]

[data]
adapter = "nifti_folders"
root = "cases"
sequences = { t1c = "t1c.nii.gz" }
label = "seg.nii.gz"

[partition]
kind = "iid"
sites = 2

[split]
test = 0.0
validation = 0.0

[preprocessing]
spacing_mm = [4.0, 4.0, 4.0]

[model]
name = "unet_small"
channels = [4, 8]
"""


def write_case(root: Path, patient: str, constant: bool) -> None:
    rng = np.random.default_rng(1)
    brain = np.zeros((40, 40, 40), np.float32)
    brain[6:34, 6:34, 6:34] = 100.0 if constant else rng.uniform(50.0, 150.0, (28, 28, 28))
    label = np.zeros(brain.shape, np.uint8)
    label[18:21, 18:21, 18:21] = 1
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    write_nifti(root / patient / "t1c.nii.gz", np.full_like(brain, 7.0) if constant else brain, affine)
    write_nifti(root / patient / "seg.nii.gz", label, affine)


def _prepare(folder: Path) -> tuple[Prepared, str]:
    (folder / "small.toml").write_text(CONFIG)
    told = io.StringIO()
    with Workers(1, 1) as workers:
        prepared = prepare_sites(load_experiment(folder / "small.toml"), folder, workers, PlainProgress(told))
    return prepared, told.getvalue()


def test_a_bad_case_is_put_aside_at_its_own_site(tmp_path: Path) -> None:
    for number in range(4):
        write_case(tmp_path / "cases", f"p{number}", constant=number == 2)
    prepared, told = _prepare(tmp_path)
    assert sum(len(site.training) for site in prepared.sites) == 3
    assert sorted(sum(site.quarantined.values()) for site in prepared.sites) == [0, 1]
    assert "p2" in told


def test_a_cohort_without_a_usable_case_is_refused(tmp_path: Path) -> None:
    for number in range(3):
        write_case(tmp_path / "cases", f"p{number}", constant=True)
    with pytest.raises(DataError, match="none of its 3 cases can be used \\(3 constant-image\\)"):
        _prepare(tmp_path)
