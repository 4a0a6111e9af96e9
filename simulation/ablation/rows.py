"""Run one row to its end: train it seed by seed on the base's patients, or predict with the base's models."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.durable import storage_errors
from common.errors import FedmetsError
from server.federation import ROUNDS_FOLDER
from server.records import RunStatus
from simulation.ablation.config import Ablation, PlannedRow
from simulation.ablation.effects import Scores
from simulation.ablation.progress import RowProgress
from simulation.ablation.results import RowResult, row_folder
from simulation.config import Experiment
from simulation.engine import Means, run_in_process
from simulation.folder import SECONDS_FILE, claim_folder
from simulation.logs import LOG_FILE, log_to
from simulation.pool import Workers, in_turn
from simulation.prepare import prepare_sites
from simulation.progress import Progress
from simulation.rescoring import TrainedModel, rescore
from simulation.scoring import Candidate, score_candidates
from simulation.sites import CACHE_FOLDER, Prepared, save_prepared
from simulation.timing import Stopwatch

COHORTS_FOLDER = "cohorts"
_ARM = "federated"


@dataclass(frozen=True, slots=True)
class Setup:
    """What every row works with; `folder` is absolute."""

    ablation: Ablation
    folder: Path
    workers: Workers
    progress: Progress


def run_row(row: PlannedRow, setup: Setup) -> RowResult:
    """Train or predict, whichever the row's kind says; a training that was interrupted goes on at its round.

    Raises:
        FedmetsError: no round met its quorum, or whatever else keeps the row from its end.
        StorageError: the disk is full.
    """
    if row.row.kind == "train":
        return _train(row, setup)
    with storage_errors(setup.folder):
        row_folder(setup.folder, row).mkdir(parents=True, exist_ok=True)
    begun_s = time.perf_counter()
    models = _predict_alone(row, setup) if row.row.kind == "predict" else (_predict_together(row, setup),)
    return RowResult(RunStatus.COMPLETED, models, time.perf_counter() - begun_s)


def steps_of(row: PlannedRow) -> int:
    """How many steps a row is in the bar: rounds of training, or predictions."""
    if row.row.kind == "train":
        return len(row.seeds) * row.experiment.federation.rounds
    return len(row.seeds) if row.row.kind == "predict" else 1


def steps_done(row: PlannedRow, folder: Path) -> int:
    """How many of an unfinished row's rounds lie on disk, by their folders; round 0 is the start."""
    if row.row.kind != "train":
        return 0
    return sum(
        max(0, len(list((training_folder(folder, row, seed) / ROUNDS_FOLDER).glob("round-*"))) - 1)
        for seed in row.seeds
    )


def training_folder(folder: Path, row: PlannedRow, seed: int) -> Path:
    """Where the training of one seed lies, laid out as a run's folder."""
    return row_folder(folder, row) / f"seed-{seed}"


def _train(row: PlannedRow, setup: Setup) -> RowResult:
    cohort = setup.folder / COHORTS_FOLDER / _cohort_id(row.experiment)
    begun_s = time.perf_counter()
    prepared = prepare_sites(row.experiment, cohort, setup.workers, RowProgress(setup.progress, row.name))
    seconds = time.perf_counter() - begun_s
    trained = []
    for seed in row.seeds:
        experiment = row.experiment.model_copy(update={"seed": seed})
        own = prepared.model_copy(update={"plan": experiment.plan_for(prepared.plan.sites)})
        folder = training_folder(setup.folder, row, seed)
        with _training(folder, experiment, cohort) as stopwatch:
            progress = RowProgress(setup.progress, f"{row.name}, seed {seed}")
            trained.append(_train_once(experiment, own, Means(folder, setup.workers, stopwatch, progress)))
            seconds += stopwatch.totals()["total"]
    whole = all(status is RunStatus.COMPLETED for status, _ in trained)
    status = RunStatus.COMPLETED if whole else RunStatus.PARTIAL
    return RowResult(status, tuple(scores for _, scores in trained), seconds, prepared.notes)


def _train_once(experiment: Experiment, prepared: Prepared, means: Means) -> tuple[RunStatus, Scores]:
    save_prepared(prepared, means.folder)
    result = run_in_process(experiment, prepared, means)
    if result.status is RunStatus.FAILED:
        where = means.folder.relative_to(means.folder.parents[2])
        raise FedmetsError(
            f"seed {experiment.seed}: no round met its quorum; {LOG_FILE} tells why; once that is mended, remove "
            f"{where} to train it anew"
        )
    candidate = Candidate(_ARM, result.model.weights)
    with means.stopwatch.part("evaluate"):
        scores = score_candidates(prepared, (candidate,), means.folder, means.workers, means.progress)
    return result.status, scores[_ARM].cases


@contextmanager
def _training(folder: Path, experiment: Experiment, cohort: Path) -> Iterator[Stopwatch]:
    """Hold the folder of one training; its prepared cases are those of the cohort, which all rows share."""
    with claim_folder(folder, experiment), Stopwatch(folder / SECONDS_FILE) as stopwatch:
        cache = folder / CACHE_FOLDER
        with storage_errors(folder):
            if not cache.is_symlink():
                cache.symlink_to(os.path.relpath(cohort / CACHE_FOLDER, folder))  # so that the whole may move
        yield stopwatch


def _predict_alone(row: PlannedRow, setup: Setup) -> tuple[Scores, ...]:
    """Each of the base's models under the row's settings, side by side."""
    found: dict[int, Scores] = {}
    jobs = in_turn(setup.workers, _rescore_job, row.seeds, lambda seed: (setup.folder, _base(setup, seed), row))
    for seed, scores in jobs:
        found[seed] = scores
        setup.progress.advance(f"{row.name}, seed {seed}")
    return tuple(found[seed] for seed in row.seeds)


def _rescore_job(folder: Path, training: Path, row: PlannedRow) -> Scores:
    """Score one training's model anew, in a worker process, which goes on logging where it did."""
    try:
        return rescore(training, row.row.set, RowProgress(_Silence(), row.name))
    finally:
        log_to(folder / LOG_FILE)


def _predict_together(row: PlannedRow, setup: Setup) -> Scores:
    folders = [_base(setup, seed) for seed in row.seeds]
    progress = RowProgress(setup.progress, row.name)
    models = [TrainedModel(folder) for folder in folders]
    scores = rescore(folders[0], row.row.set, progress, models=models, workers=setup.workers.count)
    log_to(setup.folder / LOG_FILE if setup.workers.count == 1 else None)
    setup.progress.advance(row.name)
    return scores


def _base(setup: Setup, seed: int) -> Path:
    return training_folder(setup.folder, setup.ablation.base, seed)


def _cohort_id(experiment: Experiment) -> str:
    """Rows with the same phantoms share them, and the cache beside them, which finds cases by content."""
    if experiment.phantom is None:
        return "data"
    drawn = tuple(site.model_copy(update={"labels": None}) for site in experiment.phantom.sites)  # files hold all
    return f"phantoms-{experiment.phantom.model_copy(update={'sites': drawn}).fingerprint()[:16]}"


class _Silence:
    def stage(self, name: str, total: int, done: int = 0) -> None: ...

    def advance(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...
