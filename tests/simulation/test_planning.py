"""`fedmets-sim plan` from a config to settings that train."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

from client.data.sampling import PatchSampler
from client.training import fit
from common.cli import run_app
from common.errors import ConfigError
from common.model.build import build_model
from simulation.cli import app
from simulation.config import load_experiment
from simulation.planning import fits_experiment
from tests.client.prepared import ball_case
from tests.common.planning.cohorts import cohort, planned
from tests.end_to_end.tiny import data_config, phantom_config
from tests.nifti import write_nifti


def _plan(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_app(app, "fedmets-sim", ["plan", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_plan_of_phantoms_is_written_and_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = phantom_config(tmp_path, ("steps = 2", "steps = 1"))
    before = sorted(tmp_path.iterdir())
    written = tmp_path / "planned.toml"
    code, out, err = _plan(capsys, str(config), "--json", "--write", str(written))
    assert (code, sorted(tmp_path.iterdir())) == (0, sorted([*before, written]))  # phantoms are thrown away
    assert "fingerprint 10/10" in err
    found = json.loads(out)
    sections = tomllib.loads(written.read_text(encoding="utf-8"))
    assert sections == found["settings"]
    assert sections["preprocessing"]["spacing_mm"] == [5.0, 5.0, 5.0]
    assert (found["fingerprint"]["cases"], found["quarantine"]) == (10, {})

    merged = tomllib.loads(config.read_text(encoding="utf-8"))
    for name, settings in sections.items():
        merged[name].update(settings)
    config.write_text(tomli_w.dumps(merged), encoding="utf-8")
    experiment = load_experiment(config)
    assert experiment.training.patch_size == tuple(sections["training"]["patch_size"])
    spec = experiment.training
    model = build_model(experiment.model, experiment.in_channels, experiment.out_channels, experiment.seed)
    sampler = PatchSampler([ball_case(1), ball_case(2)], spec, np.random.default_rng(0))
    log = fit(model, sampler, spec, first_step=0, total_steps=1, device=torch.device("cpu"))
    assert len(log.losses) == 1 and np.isfinite(log.losses[0])


def test_preset_brings_its_own_memory_and_no_cap_of_the_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = _plan(capsys, str(phantom_config(tmp_path)), "--network", "unet_resenc_l", "--json")
    found = json.loads(out)
    assert (code, found["planner"], found["memory_gb"]) == (0, "unet_resenc_l", 24.0)
    assert found["settings"]["model"]["name"] == "unet_resenc"
    assert "100 % of the dataset" in found["why"]["batch_size"]


def test_bad_cases_are_told_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = tmp_path / "cohort"
    (cohort / "100101A").mkdir(parents=True)
    write_nifti(cohort / "100101A" / "100101A_T1post.nii.gz", [[1.0]])
    code, _, err = _plan(capsys, str(data_config(tmp_path, cohort)))
    assert code == 2
    assert "100101A put aside" in err
    assert "no usable case found, 1 put aside" in err


def test_setting_that_does_not_go_with_the_plan_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attention = ('name = "unet_small"', 'name = "attention_unet"\ndropout = 0.2')
    config = phantom_config(tmp_path, attention, ("channels = [4, 8]", "channels = [4, 8, 8]"))
    written = tmp_path / "planned.toml"
    code, _, err = _plan(capsys, str(config), "--write", str(written))
    assert (code, written.exists()) == (2, False)
    assert "dropout is an option of" in err


def test_plan_that_no_network_has_is_not_written(tmp_path: Path) -> None:
    tiny = planned(cohort((1.0, 1.0, 1.0), (9, 9, 9), 50))
    with pytest.raises(ConfigError, match="2 stage"):
        fits_experiment(tiny, load_experiment(phantom_config(tmp_path)))
