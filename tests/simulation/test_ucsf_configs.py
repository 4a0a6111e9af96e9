"""The protocols for UCSF-BMSR load, read a tree of the published layout, and train a step."""

import io
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from client.data.adapters.build import label_rule_for, list_cases
from common.errors import ConfigError
from common.plan import Plan
from simulation.config import Experiment, load_experiment
from simulation.prepare import divide
from simulation.progress import PlainProgress
from simulation.run import Options, run_experiment
from tests.simulation.ucsf_tree import write_tree

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "ucsf_bmsr"
BINARY = ("by_field_strength", "by_primary", "resnet34")
THREE_CLASS = ("three_class", "attention_unet", "cnn", "fcn")
SMALL: dict[str, dict[str, Any]] = {
    "by_field_strength": {
        "channels": [4, 4, 4, 4],
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 1]],
    },
    "cnn": {"channels": [2, 2]},
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("ucsf"))


@pytest.fixture(autouse=True)
def _has_the_data(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCSF_BMSR", str(release))


def reduced(name: str, folder: Path) -> Experiment:
    """The config with everything that takes time made small."""
    values = tomllib.loads((CONFIGS / f"{name}.toml").read_text(encoding="utf-8"))
    values["partition"]["min_patients"] = 4
    values["split"] = {"test": 0.3, "validation": 0.1, "salt": "b"}
    values["preprocessing"]["spacing_mm"] = [6.0, 6.0, 9.0]
    values["model"].update(SMALL[name])
    values["training"].update(steps=1, patch_size=[16, 16, 8], threads=1)
    values["federation"]["rounds"] = 1
    values["evaluation"].update(validate_every=1, window_overlap=0.0, mirror=False)
    values["runtime"]["device"] = "cpu"
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return load_experiment(path)


def test_every_protocol_is_tested_here() -> None:
    assert {path.stem for path in CONFIGS.iterdir()} == {*BINARY, *THREE_CLASS}


@pytest.mark.parametrize("name", [*BINARY, *THREE_CLASS])
def test_a_protocol_loads_and_reads_the_labels_that_it_says(name: str, release: Path) -> None:
    experiment = load_experiment(CONFIGS / f"{name}.toml")
    assert experiment.data is not None
    listing = list_cases(experiment.data)
    assert len(listing.cases) == (18 if name in BINARY else 12)
    assert "100363B" not in {case.exam for case in listing.cases}
    rule = label_rule_for(experiment.data, experiment)
    assert (len(experiment.labels), sorted(rule.mapping)) == ((1, [1]) if name in BINARY else (3, [1, 2, 3]))
    assert isinstance(experiment.plan_for(("a", "b")), Plan)
    assert f"configs/ucsf_bmsr/{name}.toml" in (CONFIGS / f"{name}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "sites"),
    [
        ("by_field_strength", {"1.5t": 9, "3t": 9}),
        ("by_primary", {"breast": 6, "lung": 6, "melanoma": 6}),
        ("three_class", {"breast": 3, "lung": 6, "melanoma": 3}),
    ],
)
def test_sites_are_what_the_spreadsheet_says(name: str, sites: dict[str, int]) -> None:
    experiment = load_experiment(CONFIGS / f"{name}.toml")
    assert experiment.partition.kind == "metadata" and experiment.data is not None
    partition = experiment.partition.model_copy(update={"min_patients": 3})
    few = experiment.model_copy(update={"partition": partition})
    listing = list_cases(experiment.data)
    rule = label_rule_for(experiment.data, experiment)
    found = divide(few, experiment.data, listing, rule)
    assert {site: len({case.patient for case in cases}) for site, cases in found.sites.items()} == sites


def test_nnunets_plan_is_the_published_one() -> None:
    for name in ("three_class", "by_primary"):
        experiment = load_experiment(CONFIGS / f"{name}.toml")
        assert experiment.preprocessing.spacing_mm == (0.8594, 0.8594, 1.5)
        assert experiment.training.patch_size == (160, 192, 80)
        assert experiment.model.stage_strides[-1] == (2, 2, 1)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_protocol_runs_at_reduced_size(name: str, tmp_path: Path) -> None:
    experiment = reduced(name, tmp_path)
    options = Options(("federated",), (tmp_path / f"{name}.toml").read_text(encoding="utf-8"))
    finished = run_experiment(experiment, tmp_path / "out", options, PlainProgress(io.StringIO()))
    assert finished.status == "completed", finished.text
    assert finished.result["rounds"][0]["sites"][0]["steps"] == 1
    card = (tmp_path / "out" / "model" / "CARD.md").read_text(encoding="utf-8")
    assert "images read from disk (ucsf\\_bmsr layout)" in card
    assert "hantom" not in card


def test_without_the_data_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UCSF_BMSR")
    with pytest.raises(ConfigError, match="UCSF_BMSR is not set"):
        load_experiment(CONFIGS / "by_primary.toml")
