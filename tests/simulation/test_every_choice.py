"""Every name that a plan or a site may choose, read off the schema, makes a training step through a file.

The choices come from the types themselves: a name that is added to one is tried here at once.
"""

import io
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import tomli_w
import torch

from client.preparing import open_cases
from client.round import train_round
from client.site import Site
from common.config import DataSection
from common.errors import ConfigError
from common.model.patches import smallest_patch
from common.plan import Plan, Terms
from common.protocol import SiteUpdate, TrainTask
from common.schema import Frozen
from server.rounds import initial_weights
from simulation.config import load_experiment
from simulation.pool import Workers
from simulation.prepare import prepare_sites
from simulation.progress import PlainProgress
from simulation.sites import CACHE_FOLDER
from tests.client.prepared import ball_case
from tests.common.model.small_networks import SMALL
from tests.end_to_end.tiny import SITES, data_config, phantom_config
from tests.simulation.phantom.cohorts import write_cohort

Choice = tuple[str, str]
"""A setting by its dotted name, and one of its values."""

CPU = torch.device("cpu")
SEQUENCES = "sequences"
NEEDED: dict[Choice, dict[str, Any]] = {("federation.algorithm", "fedprox"): {"federation.prox_mu": 0.01}}
REFUSED: dict[Choice, str] = {("training.mixed_precision", "on"): "mixed_precision cannot be 'on' on a CPU"}
LABELS = {"binary": ["tumour"], "three_class": ["netc", "snfh", "et"]}


def choices(record: type[Frozen], prefix: str = "") -> Iterator[Choice]:
    """Every value of every setting that is a choice of names, in the sections below too."""
    for name, field in record.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Frozen):
            yield from choices(kind, f"{prefix}{name}.")
        elif get_origin(kind) is Literal:
            yield from ((f"{prefix}{name}", value) for value in get_args(kind))


def changed(config: Path, settings: dict[str, Any]) -> Path:
    """The file with these settings, by dotted name."""
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    for name, value in settings.items():
        *sections, last = name.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    config.write_text(tomli_w.dumps(values), encoding="utf-8")
    return config


def settings_of(choice: Choice) -> dict[str, Any]:
    """The choice, with what it needs, for one step of one round that is validated too."""
    name, value = choice
    settings = {name: value, "training.steps": 1, "federation.rounds": 1, "evaluation.smallest_cell": 1}
    if name == "model.name":
        small = next(spec for network, spec in SMALL.items() if network == value)
        settings["model.channels"] = small.widths
        settings["training.patch_size"] = tuple(max(16, edge) for edge in smallest_patch(small))
    return {**settings, **NEEDED.get(choice, {})}


def step(plan: Plan, site: Site) -> SiteUpdate:
    return train_round(TrainTask(plan.fingerprint(), 1, initial_weights(plan)), site)


def has_learned(update: SiteUpdate) -> bool:
    vector = update.delta.vector
    return update.report.steps == 1 and math.isfinite(update.report.loss) and bool(abs(vector).max() > 0.0)


def test_the_choices_are_found() -> None:
    found = {name for name, _ in choices(Terms)}
    assert {"model.name", "training.loss", "training.sampling", "federation.up"} <= found
    assert {*NEEDED, *REFUSED} <= set(choices(Terms))


@pytest.mark.parametrize("choice", tuple(choices(Terms)), ids="=".join)
def test_a_choice_of_the_plan_makes_a_step(choice: Choice, tmp_path: Path) -> None:
    plan = load_experiment(changed(phantom_config(tmp_path), settings_of(choice))).plan_for(SITES)
    site = Site("north", plan, (ball_case(0),), (ball_case(1),), (), {}, CPU, state=tmp_path / "state")
    if choice in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[choice]):
            step(plan, site)
        return
    update = step(plan, site)
    assert has_learned(update)
    assert update.report.incoming is not None and update.report.incoming != "suppressed"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choices")
    experiment = load_experiment(phantom_config(folder, ("patients = 4", "patients = 2")))
    assert experiment.phantom is not None
    north = experiment.phantom.model_copy(update={"sites": experiment.phantom.sites[:1]})
    write_cohort(north, experiment.seed, folder / "cases")
    return folder / "cases"


def step_on_files(cohort: Path, folder: Path, settings: dict[str, Any]) -> SiteUpdate:
    """Read, prepare and train on the cohort's cases as the file says."""
    everyone = {"split.test": 0.0, "split.validation": 0.0, "training.steps": 1, "federation.rounds": 1}
    experiment = load_experiment(changed(data_config(folder, cohort), {**everyone, **settings}))
    with Workers(1, 1) as workers:
        prepared = prepare_sites(experiment, folder, workers, PlainProgress(io.StringIO()))
    site = open_cases(prepared.site("north"), prepared.plan, folder / CACHE_FOLDER, CPU, folder / "state")
    assert {case.image.shape[0] for case in site.training_cases} == {experiment.in_channels}
    assert all(case.image.any(axis=(1, 2, 3)).all() for case in site.training_cases)
    return step(prepared.plan, site)


@pytest.mark.parametrize("sequence", get_args(get_args(Terms.model_fields[SEQUENCES].annotation)[0]))
def test_a_sequence_is_read_and_makes_a_step(sequence: str, cohort: Path, tmp_path: Path) -> None:
    assert has_learned(step_on_files(cohort, tmp_path, {SEQUENCES: [sequence]}))


@pytest.mark.parametrize("labels", get_args(DataSection.model_fields["labels"].annotation))
def test_labels_of_a_kind_are_read_and_make_a_step(labels: str, cohort: Path, tmp_path: Path) -> None:
    settings = {"labels": LABELS[labels], "data.labels": labels}
    assert has_learned(step_on_files(cohort, tmp_path, settings))
