"""Score a finished run's models anew under other settings of evaluation and clean-up; nothing is trained.

Rows of an ablation that differ only after prediction share one model this way. Several models are scored as one,
an ensemble: a run's local models, or the models of several runs on the same patients.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from client.data.case import PreparedCase
from client.ensemble import Member, predict_together, require_same_labels
from client.evaluation import judge_mask
from client.prediction import finished_mask
from common.config import validate
from common.errors import CheckpointCorrupt, ConfigError, UserError
from common.metrics.scores import CaseScores
from common.model.weights import trained_network
from common.plan import Plan
from common.weights import from_safetensors
from simulation.arms import LOCAL_PREFIX
from simulation.pool import Workers, in_turn
from simulation.progress import Progress
from simulation.scoring import SCORES_FOLDER, weights_file
from simulation.sites import Prepared, load_prepared, open_site

Overrides = Mapping[str, object]
"""Settings by dotted name: {"evaluation.mirror": True, "postprocessing.min_lesion_mm3": 10.0}."""

AFTER_TRAINING = ("evaluation", "postprocessing")
"""Sections of a plan that the weights do not depend on, but for what a lesion is, below."""

_NOT_OF_A_FINISHED_MODEL = ("evaluation.validate_every", "evaluation.smallest_cell")
_WHAT_A_LESION_IS = "evaluation.tumour"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model of a finished run: `federated`, `pooled` or `local-SITE` in that run's folder."""

    folder: Path
    arm: str = "federated"


@dataclass(frozen=True, slots=True)
class _Seat:
    """A model's place in an ensemble: where its cases and weights lie, and the plan to predict under."""

    folder: Path
    arm: str
    plan: Plan


def rescore(
    folder: Path,
    overrides: Overrides,
    progress: Progress,
    *,
    models: Sequence[TrainedModel] = (),
    workers: int = 1,
) -> tuple[CaseScores, ...]:
    """Scores on a run's test cases, in order of site and exam, under changed settings.

    Without overrides, a run's own model gives the run's own scores; with them, those of a run that had these
    settings from the start. An ensemble's members each predict the exam as their own run prepared it, with the
    overrides; threshold and clean-up of the mean are those of the first model.

    Args:
        folder: a finished run, whose test cases are scored.
        overrides: settings of `evaluation` and `postprocessing`.
        progress: told of every site.
        models: the federated model of `folder` when empty; several are an ensemble.
        workers: processes side by side.

    Raises:
        UserError: not a finished run, no such model, or models that were not tested on these cases.
        ConfigError: a setting that acts before the model is finished, an unknown one or an illegal value.
        ModelRefused: models of different labels.
        FedmetsError: a worker died.
    """
    whole = folder.resolve()
    prepared = _prepared(whole)
    chosen = models or (TrainedModel(whole),)
    seats = tuple(_seat(model.folder.resolve(), model.arm, overrides) for model in chosen)
    for seat in seats:
        _require_tested_on(prepared, whole, seat)
    require_same_labels([(f"{seat.arm} of {seat.folder}", seat.plan) for seat in seats])
    sites = [site.name for site in prepared.sites if site.test]
    progress.stage("rescoring", len(sites))
    scores: dict[str, tuple[CaseScores, ...]] = {}
    with Workers(workers, prepared.plan.training.threads) as pool:
        for site, own in in_turn(pool, rescore_job, sites, lambda site: (whole, seats, site)):
            scores[site] = own
            progress.advance(site)
    return tuple(score for site in sites for score in scores[site])


def rescore_job(folder: Path, seats: tuple[_Seat, ...], site_name: str) -> tuple[CaseScores, ...]:
    """Judge the seats together on one site's test cases, in a worker process."""
    site = open_site(folder, site_name)
    models = [_network(seat).to(site.device) for seat in seats]
    plan = seats[0].plan

    def members(case: PreparedCase) -> Iterator[Member]:
        for seat, model in zip(seats, models, strict=True):
            yield Member(model, seat.plan, case if seat.folder == folder else _same_exam(case, seat.folder))

    scores = []
    for case in site.test_cases:
        if case.reference is not None:
            together = predict_together(members(case), case.native, site.device)
            mask = finished_mask(together.probabilities, case, plan).mask
            scores.append(judge_mask(mask, case, site_name, plan))
    return tuple(scores)


def local_models(folder: Path) -> tuple[TrainedModel, ...]:
    """Every model that one site trained alone, in order of name.

    Raises:
        UserError: the run has none.
    """
    names = sorted(path.stem for path in (folder / SCORES_FOLDER).glob(f"{LOCAL_PREFIX}*.json"))
    if not names:
        raise UserError(f"{folder}: holds no local models; run fedmets-sim run with --arms federated,local first")
    return tuple(TrainedModel(folder, name) for name in names)


def with_overrides(plan: Plan, overrides: Overrides) -> Plan:
    """The plan with settings that act on a finished model replaced.

    Raises:
        ConfigError: a setting that acts earlier, or every fault of name and value in one line.
    """
    values = plan.model_dump(mode="json")
    for name, value in overrides.items():
        require_after_training(name)
        section, _, setting = name.partition(".")
        values[section][setting] = value
    return validate(Plan, values, "changed settings")


def require_after_training(name: str) -> None:
    """Return if a setting acts on a finished model and leaves the lesions as they are that it is judged on.

    Raises:
        ConfigError: it acts earlier, or says what counts as a lesion.
    """
    section, _, setting = name.partition(".")
    if section not in AFTER_TRAINING or not setting or name in _NOT_OF_A_FINISHED_MODEL:
        raise ConfigError(
            f"{name}: does not act on a finished model, only settings of {' and '.join(AFTER_TRAINING)} do; "
            "run an experiment that has it instead"
        )
    if name == _WHAT_A_LESION_IS:
        raise ConfigError(
            f"{name}: says what counts as a lesion, and scores on other lesions do not compare; run an experiment "
            "that has it instead"
        )


def _prepared(folder: Path) -> Prepared:
    try:
        return load_prepared(folder)
    except (OSError, ValidationError):
        raise UserError(
            f"{folder}: not the folder of a run, or its prepared cases are gone; give a run's folder"
        ) from None


def _seat(folder: Path, arm: str, overrides: Overrides) -> _Seat:
    """A model's seat, once its weights are there and are those that the run was scored with."""
    path, plan = weights_file(folder, arm), _prepared(folder).plan
    try:
        record = json.loads((folder / SCORES_FOLDER / f"{arm}.json").read_bytes())
        sha256 = from_safetensors(path.read_bytes(), path).sha256()
    except (OSError, ValueError, CheckpointCorrupt):
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none"
        raise UserError(f"{folder}: no finished model '{arm}' (there are: {known}); choose one of them") from None
    if record["model_sha256"] != sha256:
        raise UserError(
            f"{path}: not the weights that this run was scored with; run fedmets-sim run on {folder} again"
        )
    return _Seat(folder, arm, with_overrides(plan, overrides))


def _require_tested_on(prepared: Prepared, folder: Path, seat: _Seat) -> None:
    """A model may only be tested on exams that its own run kept for tests: others may have trained it."""
    if seat.folder == folder:
        return
    kept = {case.exam for site in _prepared(seat.folder).sites for case in site.test}
    odd = [case.exam for site in prepared.sites for case in site.test if case.exam not in kept]
    if odd:
        raise UserError(
            f"exam {odd[0]} is for tests in {folder}, not in {seat.folder} ({len(odd)} such exams), whose model "
            "may have been trained on it: take runs with the same data and split"
        )


def _network(seat: _Seat) -> torch.nn.Module:
    path = weights_file(seat.folder, seat.arm)
    return trained_network(seat.plan, from_safetensors(path.read_bytes(), path))


def _same_exam(case: PreparedCase, folder: Path) -> PreparedCase:
    """The exam as another run prepared it; phantoms of two seeds share names, so the references are compared."""
    other = _test_cases(folder)[case.exam]
    if case.reference is None or other.reference is None or not np.array_equal(case.reference, other.reference):
        raise UserError(
            f"exam {case.exam} has another reference in {folder}: these are not the same patients; take runs on "
            "the same data"
        )
    return other


@lru_cache(maxsize=16)
def _test_cases(folder: Path) -> Mapping[str, PreparedCase]:
    return {
        case.exam: case for site in load_prepared(folder).sites for case in open_site(folder, site.name).test_cases
    }
