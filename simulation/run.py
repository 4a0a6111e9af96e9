"""One experiment from its file to the finished folder: prepare, train the arms, judge them, write it all down."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.release import write_release
from server.records import RunStatus
from server.rounds import RunResult
from simulation.baselines import baselines_of, can_train, train_baselines
from simulation.config import Experiment
from simulation.engine import Engine, Means, run_in_process
from simulation.folder import SECONDS_FILE, claim_folder
from simulation.logs import LOG_FILE
from simulation.model_card import model_card
from simulation.pool import Workers
from simulation.prepare import prepare_sites
from simulation.progress import Progress, WatchedProgress
from simulation.publishing import public_arms
from simulation.report.page import write_report
from simulation.result import MODEL_FOLDER, Judged, build_result, headline, write_result
from simulation.scoring import Candidate, score_candidates
from simulation.showing import describe_cohort, is_generated, report_content
from simulation.sites import Prepared, save_prepared, traits_of_tests
from simulation.timing import Stopwatch

REPORT_FILE = "report.html"


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line adds to an experiment.

    Attributes:
        arms: of `federated`, `local` and `pooled`, in that order.
        config_text: the experiment file as it stands, for the report.
    """

    arms: tuple[str, ...]
    config_text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended: its status, one paragraph for a person, and what result.json holds."""

    status: str
    text: str
    result: dict[str, Any]


def run_experiment(
    experiment: Experiment,
    folder: Path,
    options: Options,
    progress: Progress,
    engine: Engine = run_in_process,
) -> Finished:
    """Run an experiment, or go on with it where an earlier call stopped; `engine` runs the federated arm.

    Raises:
        UserError: refused before the first round: configuration, data or folder do not serve.
        StorageError: the disk is full; what was committed stands.
    """
    folder = folder.resolve()
    with claim_folder(folder, experiment), Stopwatch(folder / SECONDS_FILE) as stopwatch:
        progress = WatchedProgress(progress, stopwatch.save_now_and_then)
        with Workers(experiment.runtime.workers, experiment.training.threads, folder / LOG_FILE) as workers:
            means = Means(folder, workers, stopwatch, progress)
            prepared = _prepare(experiment, means)
            federated = engine(experiment, prepared, means) if "federated" in options.arms else None
            baselines = _train_baselines(prepared, options.arms, means)
            status = how_it_ended(prepared, federated, baselines, options.arms)
            judged = _judge(prepared, federated, baselines, status, means)
        result = build_result(judged)
        _release(judged, result, experiment, folder)
        result["seconds"] = stopwatch.totals()  # so far, for the page; result.json gets the end
        write_report(folder / REPORT_FILE, report_content(judged, result, experiment, folder, options.config_text))
        result["seconds"] = stopwatch.totals()
        write_result(folder, result)
    return Finished(str(judged.status), headline(result, folder), result)


def _prepare(experiment: Experiment, means: Means) -> Prepared:
    with means.stopwatch.part("prepare"):
        prepared = prepare_sites(experiment, means.folder, means.workers, means.progress)
        save_prepared(prepared, means.folder)
    for note in prepared.notes:
        means.progress.note(note)
    return prepared


def _train_baselines(prepared: Prepared, arms: tuple[str, ...], means: Means) -> dict[str, RunResult]:
    baselines = baselines_of(prepared, arms)
    if not baselines:
        return {}
    with means.stopwatch.part("train"):
        return train_baselines(prepared, baselines, means.folder, means.workers, means.progress)


def how_it_ended(
    prepared: Prepared, federated: RunResult | None, baselines: Mapping[str, RunResult], arms: tuple[str, ...]
) -> RunStatus:
    """The federation's own end, where there was one; `partial` when a comparison that was asked for is missing.

    Without a federation: `failed` when nothing was trained, `partial` when some site could not.
    """
    whole = len(baselines) == len(baselines_of(prepared, arms))
    if federated is not None:
        lessened = federated.status is RunStatus.COMPLETED and not whole
        return RunStatus.PARTIAL if lessened else federated.status
    if not baselines:
        return RunStatus.FAILED
    every_site = all(can_train(prepared, site.name) for site in prepared.sites)
    return RunStatus.COMPLETED if whole and every_site else RunStatus.PARTIAL


def _judge(
    prepared: Prepared,
    federated: RunResult | None,
    baselines: Mapping[str, RunResult],
    status: RunStatus,
    means: Means,
) -> Judged:
    """Score every finished model on every site's test cases; a federation that never moved has no model."""
    models = {name: result.model.weights for name, result in baselines.items()}
    if federated is not None and federated.status is not RunStatus.FAILED:
        models = {"federated": federated.model.weights, **models}
    candidates = tuple(Candidate(name, weights) for name, weights in models.items())
    with means.stopwatch.part("evaluate"):
        scores = score_candidates(prepared, candidates, means.folder, means.workers, means.progress)
    return Judged(
        prepared=prepared,
        status=status,
        history=federated.history if federated else (),
        baselines={name: result.history for name, result in baselines.items()},
        models=models,
        scores={name: own.cases for name, own in scores.items()},
        curves={name: own.curves for name, own in scores.items()},
        traits=traits_of_tests(prepared, means.folder),
    )


def _release(judged: Judged, result: Mapping[str, Any], experiment: Experiment, folder: Path) -> None:
    """Write the model that can be handed on; in it nothing from which a small group of patients follows."""
    if "federated" not in judged.models:
        return
    cohort = describe_cohort(experiment)
    metrics = {
        "status": result["status"],
        "trained_on": cohort,
        "held_out_patients": public_arms(result, judged.scores["federated"]).get("federated"),
    }
    card = model_card(judged, result, cohort, phantoms=is_generated(experiment))
    plan, weights = judged.prepared.plan, judged.models["federated"]
    write_release(folder / MODEL_FOLDER, plan, weights, metrics, len(judged.history), card)
