"""The study for a GPU, on a machine that has none: what it states is what it is meant to be."""

import io
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from client.data.splits import split_sites
from common.errors import UserError
from common.model.build import build_model, parameter_count
from simulation.config import load_experiment
from simulation.phantom.anatomy import HEAD_EXTENT_MM
from simulation.phantom.dataset import exam_list
from simulation.progress import PlainProgress
from simulation.run import Options, run_experiment
from tests.end_to_end.tiny import run_here

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "study_gpu.toml"


def test_two_hundred_cases_and_the_full_network() -> None:
    experiment = load_experiment(CONFIG)
    assert experiment.phantom is not None
    assert len(exam_list(experiment.phantom, experiment.seed)) == 200
    network = build_model(experiment.model, experiment.in_channels, experiment.out_channels, experiment.seed)
    assert parameter_count(network) == pytest.approx(31.2e6, rel=0.01)
    assert (experiment.training.patch_size, experiment.training.mixed_precision) == ((128, 128, 128), "auto")
    assert experiment.preprocessing.spacing_mm == (1.0, 1.0, 1.0)


def test_at_reduced_size_it_trains_a_step_on_a_cpu(tmp_path: Path) -> None:
    """Widths, patch, images and cohort are small; network, levels, loss, optimiser and sites stay."""
    values = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    values["phantom"].update(shape=[36, 46, 36], spacing_mm=[4.0, 4.0, 4.0], lesion_scale=4.0)
    for site in values["phantom"]["sites"]:
        site.update(patients=3, spacing_mm=[4.0, 4.0, 4.0], slice_thickness_mm=4.0)
    values["preprocessing"]["spacing_mm"] = [4.0, 4.0, 4.0]
    values["model"]["channels"] = [2, 2, 4, 4, 4, 4]
    values["training"].update(steps=1, patch_size=[32, 32, 64], threads=1)
    values["federation"]["rounds"] = 1
    values["runtime"]["device"] = "cpu"
    config = tmp_path / "small.toml"
    config.write_text(tomli_w.dumps(values), encoding="utf-8")
    ran = run_here(config, tmp_path / "out", ("federated",))
    assert ran.finished.status == "completed", ran.finished.text
    sites = ran.result["rounds"][0]["sites"]
    assert len(sites) == 6 and all((row["outcome"], row["steps"]) == ("accepted", 1) for row in sites)


def test_the_view_holds_a_whole_head_and_a_patch() -> None:
    experiment = load_experiment(CONFIG)
    assert experiment.phantom is not None
    view_mm = np.array(experiment.phantom.field_of_view_mm)
    assert (view_mm >= HEAD_EXTENT_MM).all() and (view_mm >= experiment.training.patch_size).all()
    for site in experiment.phantom.sites:
        assert np.allclose(
            np.multiply(experiment.phantom.shape_of(site), experiment.phantom.spacing_of(site)), view_mm, atol=1.0
        )


def test_every_site_trains_and_every_site_tests() -> None:
    experiment = load_experiment(CONFIG)
    assert experiment.phantom is not None
    patients: dict[str, list[str]] = {}
    for request in exam_list(experiment.phantom, experiment.seed):
        patients.setdefault(experiment.phantom.sites[request.site].name, []).append(request.patient_id)
    splits = split_sites(patients, experiment.split)
    for site, own in patients.items():
        assert len(splits.patients(site, "test")) >= 6
        assert len(splits.patients(site, "train")) >= len(own) / 2
    assert splits.notes == ()


def test_a_machine_without_a_gpu_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    options, progress = Options(("federated",), CONFIG.read_text(encoding="utf-8")), PlainProgress(io.StringIO())
    with pytest.raises(UserError, match="device 'cuda': torch finds 0 CUDA GPUs"):
        run_experiment(load_experiment(CONFIG), tmp_path / "out", options, progress)
    assert not (tmp_path / "out" / "cohort").exists()
