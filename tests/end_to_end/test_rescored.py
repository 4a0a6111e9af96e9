"""A finished run's models under other settings: nothing is trained, and the scores are those of a run so set."""

import io
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.cli import run_app
from common.errors import ConfigError, ModelRefused, UserError
from common.metrics.scores import CaseScores
from simulation.cli import app
from simulation.comparison import read_arm
from simulation.progress import PlainProgress
from simulation.rescore_cli import parse_settings
from simulation.rescoring import Overrides, TrainedModel, local_models, rescore, rescore_job
from simulation.sites import load_prepared, open_site, save_prepared
from tests.end_to_end.tiny import Ran, phantom_config, run_here

SETTINGS: dict[str, object] = {
    "evaluation.mirror": True,
    "evaluation.threshold": 0.4,
    "postprocessing.outside_brain": "lesions",
    "postprocessing.brain_margin_mm": 6.0,
    "postprocessing.min_inside_share": 0.6,
    "postprocessing.min_lesion_mm3": 4000.0,
}
SECTIONS = """
[evaluation]
mirror = true
threshold = 0.4

[postprocessing]
outside_brain = "lesions"
brain_margin_mm = 6.0
min_inside_share = 0.6
min_lesion_mm3 = 4000.0

[federation]
"""
QUIET = PlainProgress(io.StringIO())


def copy_of(folder: Path, target: Path) -> Path:
    """A run's folder with its scores, weights and cache, but for the record of its cases."""
    shutil.copytree(folder / "scores", target / "scores")
    (target / "cache").symlink_to(folder / "cache")
    return target


def scored(folder: Path, settings: Overrides, *models: TrainedModel) -> list[dict[str, object]]:
    return [one.to_dict() for one in rescore(folder, settings, QUIET, models=models)]


def own_scores(folder: Path, arm: str = "federated") -> list[dict[str, object]]:
    return [one.to_dict() for one in read_arm(folder, arm).scores]


def model_of(run: Ran) -> str:
    """sha256 of the released model."""
    return str(run.result["model"]["sha256"])


def test_without_a_change_every_model_has_its_own_scores(undisturbed: Ran) -> None:
    assert scored(undisturbed.folder, {}) == own_scores(undisturbed.folder)
    local = TrainedModel(undisturbed.folder, "local-south")
    assert scored(undisturbed.folder, {}, local) == own_scores(undisturbed.folder, "local-south")


def test_a_run_that_had_the_settings_from_the_start_has_the_same_model_and_the_same_scores(
    undisturbed: Ran, tmp_path: Path
) -> None:
    config = phantom_config(tmp_path, ("\n[federation]\n", SECTIONS))
    other = run_here(config, tmp_path / "out", ("federated",))
    assert model_of(other) == model_of(undisturbed)
    assert scored(undisturbed.folder, SETTINGS) == own_scores(other.folder)
    assert own_scores(other.folder) != own_scores(undisturbed.folder)


def test_what_a_worker_is_given_can_be_sent_to_another_process(
    undisturbed: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sent(folder: Path, seats: Any, site: str) -> tuple[CaseScores, ...]:
        return rescore_job(*pickle.loads(pickle.dumps((folder, seats, site))))  # noqa: S301  (our own bytes)

    monkeypatch.setattr("simulation.rescoring.rescore_job", sent)
    assert scored(undisturbed.folder, {}) == own_scores(undisturbed.folder)


def test_the_local_models_together_are_judged_like_one(
    undisturbed: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    members = local_models(undisturbed.folder)
    assert [model.arm for model in members] == ["local-north", "local-south", "local-west"]
    ensemble = scored(undisturbed.folder, {}, *members)
    assert ensemble != own_scores(undisturbed.folder, "local-north")
    assert ensemble == scored(undisturbed.folder, {}, *members[::-1])
    assert run_app(app, "fedmets-sim", ["rescore", str(undisturbed.folder), "--ensemble", "local", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["first"]["arm"] == "mean of 3 models" and found["second"]["arm"] == "federated"
    mean_dice = sum(float(str(one["dice"])) for one in ensemble) / len(ensemble)
    assert found["measures"]["dice"]["first"]["estimate"] == pytest.approx(mean_dice)


def test_the_command_says_what_changed_and_by_how_much(
    undisturbed: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rescored.json"
    options = ["--set", "postprocessing.min_lesion_mm3=1e9", "--out", str(out)]
    assert run_app(app, "fedmets-sim", ["rescore", str(undisturbed.folder), *options]) == 0
    said = capsys.readouterr().out
    assert "(federated, postprocessing.min_lesion_mm3 = 1000000000.0), B = " in said
    assert "research software, not a medical device" in said
    found = json.loads(out.read_bytes())
    assert found["measures"]["fp_per_scan"]["first"]["estimate"] == 0.0
    own = found["measures"]["fp_per_scan"]["second"]["estimate"]
    assert found["measures"]["fp_per_scan"]["difference"]["estimate"] == pytest.approx(-own)
    assert {case["predicted_lesions"] for case in found["scores"]} == {0}
    assert found["settings"] == {"postprocessing.min_lesion_mm3": 1e9}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"training.steps": 5}, "training.steps: does not act on a finished model"),
        ({"evaluation.validate_every": 5}, "evaluation.validate_every: does not act on a finished model"),
        ({"evaluation.smallest_cell": 2}, "evaluation.smallest_cell: does not act on a finished model"),
        ({"evaluation.tumour": ["tumour"]}, "evaluation.tumour: says what counts as a lesion"),
        ({"postprocessing": {}}, "postprocessing: does not act on a finished model"),
        ({"postprocessing.smallest": 5}, "unknown key 'postprocessing.smallest'"),
        ({"evaluation.mirror": "yes"}, "'evaluation.mirror': "),
        ({"postprocessing.brain_margin_mm": 3.0}, "these two need outside_brain = 'lesions'"),
    ],
)
def test_settings_that_cannot_be_changed_are_refused(
    undisturbed: Ran, settings: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        scored(undisturbed.folder, settings)
    assert text in str(refusal.value)


def test_models_that_do_not_belong_to_these_cases_are_refused(undisturbed: Ran, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no finished model 'alone' \(there are: federated, local-north"):
        scored(undisturbed.folder, {}, TrainedModel(undisturbed.folder, "alone"))
    with pytest.raises(UserError, match="not the folder of a run"):
        scored(tmp_path, {})
    with pytest.raises(UserError, match="holds no local models"):
        local_models(tmp_path)


def test_a_model_that_may_have_been_trained_on_these_cases_is_refused(undisturbed: Ran, tmp_path: Path) -> None:
    other = copy_of(undisturbed.folder, tmp_path / "split")
    prepared = load_prepared(undisturbed.folder)
    north, *rest = prepared.sites
    moved = north.model_copy(update={"training": (*north.training, *north.test), "test": ()})
    save_prepared(prepared.model_copy(update={"sites": (moved, *rest)}), other)
    with pytest.raises(UserError, match="whose model may have been trained on it: take runs with the same data"):
        scored(undisturbed.folder, {}, TrainedModel(undisturbed.folder), TrainedModel(other))


def test_models_of_other_labels_are_not_averaged(undisturbed: Ran, tmp_path: Path) -> None:
    other = copy_of(undisturbed.folder, tmp_path / "labels")
    prepared = load_prepared(undisturbed.folder)
    plan = prepared.plan.model_copy(update={"labels": ("metastasis",)})
    save_prepared(prepared.model_copy(update={"plan": plan}), other)
    with pytest.raises(
        ModelRefused, match=r"class 1 is 'tumour' in federated of \S+ and 'metastasis' in federated"
    ):
        scored(undisturbed.folder, {}, TrainedModel(undisturbed.folder), TrainedModel(other))


def test_patients_of_the_same_name_with_other_lesions_are_not_averaged(
    undisturbed: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy_of(undisturbed.folder, tmp_path / "seed")
    save_prepared(load_prepared(undisturbed.folder), other)
    cases = [case for site in load_prepared(other).sites for case in open_site(other, site.name).test_cases]
    empty = {case.exam: replace(case, reference=np.zeros(case.native.shape, np.uint8)) for case in cases}
    monkeypatch.setattr("simulation.rescoring._test_cases", lambda folder: empty)
    with pytest.raises(UserError, match=r"another reference in \S+: these are not the same patients"):
        scored(undisturbed.folder, {}, TrainedModel(undisturbed.folder), TrainedModel(other))


def test_a_run_of_another_spacing_and_network_is_averaged_in(undisturbed: Ran, tmp_path: Path) -> None:
    edits = (
        ("[preprocessing]\nspacing_mm = [5.0, 5.0, 5.0]", "[preprocessing]\nspacing_mm = [6.0, 6.0, 6.0]"),
        ("channels = [4, 8]", "channels = [4, 4]"),
        ("rounds = 3", 'rounds = 1\n[postprocessing]\noutside_brain = "keep"'),
    )
    coarse = run_here(phantom_config(tmp_path, *edits), tmp_path / "coarse", ("federated",))
    fine = TrainedModel(undisturbed.folder)
    together = scored(undisturbed.folder, {}, fine, TrainedModel(coarse.folder))
    assert [one["exam"] for one in together] == [one["exam"] for one in own_scores(undisturbed.folder)]
    assert scored(undisturbed.folder, {}, TrainedModel(coarse.folder)) == own_scores(coarse.folder)


def test_a_runs_own_files_are_not_written_over(
    undisturbed: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = undisturbed.folder / "scores" / "federated.json"
    before = own.read_bytes()
    for out, told in ((own, "lies in the folder of the run"), (tmp_path / "no" / "x.json", "create it first")):
        assert run_app(app, "fedmets-sim", ["rescore", str(undisturbed.folder), "--out", str(out)]) == 2
        assert told in capsys.readouterr().err
    assert own.read_bytes() == before


def test_settings_are_read_as_toml_and_else_as_text() -> None:
    options = ["evaluation.mirror=true", "postprocessing.min_lesion_mm3=10", "postprocessing.outside_brain=keep"]
    assert list(parse_settings(options).values()) == [True, 10, "keep"]
    for bad in (["evaluation.mirror"], ["=true"], ["a.b=1", "a.b=2"]):
        with pytest.raises(UserError, match="--set"):
            parse_settings(bad)
