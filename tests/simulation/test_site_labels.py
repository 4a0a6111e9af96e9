"""A binary site and three-class sites in one cohort; every loss and sampling for a step through a config."""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.data.case import PreparedCase
from client.round import train_round
from common.config import DataSection, validate
from common.errors import ConfigError
from common.metrics.detection import label_lesions
from common.protocol import TrainTask
from server.rounds import initial_weights
from simulation.config import Experiment, load_experiment
from simulation.deploy_setup import site_toml
from simulation.site_labels import section_at
from simulation.sites import load_prepared, open_site
from tests.common.model.losses.examples import BINARY, LOSSES
from tests.end_to_end.tiny import SITES, Edit, Ran, phantom_config, run_here

SEQUENCES = 'sequences = ["t1c", "flair"]'
LABELS: Edit = (SEQUENCES, f'{SEQUENCES}\nlabels = ["netc", "snfh", "et"]')
SCORED: Edit = ("[federation]", '[evaluation]\ntumour = ["netc", "et"]\n\n[federation]')
SOUTH_IS_BINARY: Edit = ('vessels = "black_blood"', 'vessels = "black_blood"\nlabels = "binary"')
ONE_STEP: Edit = ("steps = 2", "steps = 1")
ONE_ROUND: Edit = ("rounds = 3", "rounds = 1")
SETTINGS = {
    "dice_bce": 'loss = "dice_bce"',
    "dice_focal": 'loss = "dice_focal"\nfocal_gamma = 1.5',
    "tversky": 'loss = "tversky"\ntversky_alpha = 0.2\ntversky_beta = 0.8',
    "blob": 'loss = "blob"\nblob_weight = 1.0',
    "size_weighted_dice": 'loss = "size_weighted_dice"\nsize_weight_exponent = 1.0',
    "foreground": 'sampling = "foreground"',
    "small_lesions": 'sampling = "small_lesions"\nsmall_lesion_exponent = 1.0\nsmall_lesion_floor_mm3 = 30.0',
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("mixed")
    config = phantom_config(folder, LABELS, SCORED, SOUTH_IS_BINARY, ONE_STEP, ONE_ROUND)
    yield run_here(config, folder / "out", ("federated", "pooled"))


def three_class_section(root: Path) -> DataSection:
    return DataSection(adapter="ucsf_bmsr", root=root, labels="three_class")


def values_of(case: PreparedCase) -> set[int]:
    assert case.reference is not None
    return set(np.unique(case.reference).tolist())


def test_binary_and_three_class_sites_train_one_model(mixed: Ran) -> None:
    assert mixed.result["status"] == "completed"
    assert [mixed.outcomes(site) for site in SITES] == [[("accepted", None)]] * 3
    meanings = {site: {case.meanings for case in open_site(mixed.folder, site).training_cases} for site in SITES}
    assert meanings == {"north": {()}, "south": {BINARY}, "west": {()}}
    values = {
        site: {v for case in open_site(mixed.folder, site).training_cases for v in values_of(case)}
        for site in SITES
    }
    assert values["south"] == {0, 4} and {0, 2, 3} <= values["north"] <= {0, 1, 2, 3}


def test_every_site_is_scored_on_the_tumour_alone(mixed: Ran) -> None:
    per_site = mixed.result["arms"]["federated"]["per_site"]
    for name in SITES:
        site = open_site(mixed.folder, name)
        references = [case.reference for case in site.test_cases if case.reference is not None]
        lesions = [label_lesions((values > 0) & (values != 2))[1] for values in references]
        assert per_site[name]["lesions"] == sum(lesions) > 0


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_makes_a_step_at_both_kinds_of_site(name: str, mixed: Ran, tmp_path: Path) -> None:
    step = ("steps = 2", f"steps = 1\n{SETTINGS[name]}")
    config = phantom_config(tmp_path, LABELS, SCORED, SOUTH_IS_BINARY, step, ONE_ROUND)
    plan = load_experiment(config).plan_for(load_prepared(mixed.folder).plan.sites)
    assert name in (plan.training.loss, plan.training.sampling)
    start = initial_weights(plan)
    for site in ("north", "south"):
        update = train_round(
            TrainTask(plan.fingerprint(), 1, start), replace(open_site(mixed.folder, site), plan=plan)
        )
        assert np.isfinite(update.report.loss) and np.abs(update.delta.vector).max() > 0.0


def test_every_loss_has_its_step() -> None:
    assert set(LOSSES) - {"dice_ce"} <= set(SETTINGS)


def test_a_binary_site_needs_a_plan_that_scores_what_it_drew(tmp_path: Path) -> None:
    config = phantom_config(tmp_path, LABELS, SOUTH_IS_BINARY)
    with pytest.raises(ConfigError, match=r"may be background or snfh.*set evaluation\.tumour"):
        run_here(config, tmp_path / "out", ("federated",))
    assert not (tmp_path / "out" / "cohort").exists()


def test_site_labels_need_the_generators_own_sites(tmp_path: Path) -> None:
    iid: Edit = ("[preprocessing]", '[partition]\nkind = "iid"\nsites = 2\n\n[preprocessing]')
    with pytest.raises(ConfigError, match="phantom site south states labels of its own"):
        load_experiment(phantom_config(tmp_path, LABELS, SCORED, SOUTH_IS_BINARY, iid))


def experiment_of(tmp_path: Path, *edits: Edit) -> Experiment:
    return load_experiment(phantom_config(tmp_path, *edits))


def test_a_sites_section_is_what_its_hospital_would_write(tmp_path: Path) -> None:
    cohorts = three_class_section(tmp_path)
    experiment = experiment_of(tmp_path, LABELS, SCORED, SOUTH_IS_BINARY)
    own = section_at(experiment, cohorts, "south")
    assert (own.labels, own.label_map, own.unannotated) == ("binary", {1: ("netc", "et")}, ("snfh",))
    assert section_at(experiment, cohorts, "north") is cohorts
    written = tomllib.loads(site_toml(own, "cpu", tmp_path / "cache"))["data"]
    assert validate(DataSection, written, "site.toml") == own


def test_a_three_class_site_serves_a_plan_of_one_label(tmp_path: Path) -> None:
    edit: Edit = ('vessels = "black_blood"', 'labels = "three_class"')
    cohorts = DataSection(adapter="ucsf_bmsr", root=tmp_path)
    own = section_at(experiment_of(tmp_path, edit), cohorts, "south")
    assert (own.labels, own.label_map, own.ignore_labels) == ("three_class", {1: 1, 3: 1}, (2,))
