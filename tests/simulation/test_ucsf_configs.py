"""The protocols for UCSF-BMSR load, read a tree of the published layout, and train a step."""

import math
import tomllib
from pathlib import Path

import pytest
import tomli_w

from client.data.adapters.build import label_rule_for, list_cases
from common.errors import ConfigError
from common.model.patches import smallest_patch
from common.plan import Plan
from simulation.config import load_experiment
from simulation.prepare import divide
from tests.end_to_end.tiny import run_here
from tests.simulation.ucsf_tree import write_tree

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "ucsf_bmsr"
BINARY = ("by_field_strength", "by_primary", "resnet34")
THREE_CLASS = ("three_class", "attention_unet", "cnn", "fcn")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("ucsf"))


@pytest.fixture(autouse=True)
def _has_the_data(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCSF_BMSR", str(release))


def reduced(name: str, folder: Path) -> Path:
    """A copy of the protocol with what takes time made small: widths, patch, steps, rounds, patients of a site.

    All that is no size stays: strides and stages, optimiser, loss, sampling, windows, mirroring, what is scored.
    """
    values = tomllib.loads((CONFIGS / f"{name}.toml").read_text(encoding="utf-8"))
    published = load_experiment(CONFIGS / f"{name}.toml").model
    small = published.model_copy(update={"channels": tuple(max(2, width // 16) for width in published.widths)})
    values["model"]["channels"] = small.widths
    values["training"].update(steps=1, patch_size=smallest_patch(small), threads=1)
    values["partition"]["min_patients"] = 4
    values["split"]["test"] = 0.3
    values["federation"]["rounds"] = 1
    values["runtime"]["device"] = "cpu"
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


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


@pytest.mark.parametrize("name", [*BINARY, *THREE_CLASS])
def test_a_protocol_trains_a_step_and_is_scored_at_reduced_size(name: str, tmp_path: Path) -> None:
    ran = run_here(reduced(name, tmp_path), tmp_path / "out", ("federated",))
    assert ran.finished.status == "completed", ran.finished.text
    sites = ran.result["rounds"][0]["sites"]
    assert len(sites) > 1 and all((row["outcome"], row["steps"]) == ("accepted", 1) for row in sites)
    assert all(math.isfinite(row["loss"]) for row in sites)
    assert 0.0 <= ran.result["arms"]["federated"]["dice"] <= 1.0
    card = (tmp_path / "out" / "model" / "CARD.md").read_text(encoding="utf-8")
    assert "images read from disk (ucsf\\_bmsr layout)" in card
    assert "hantom" not in card


def test_without_the_data_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UCSF_BMSR")
    with pytest.raises(ConfigError, match="UCSF_BMSR is not set"):
        load_experiment(CONFIGS / "by_primary.toml")
