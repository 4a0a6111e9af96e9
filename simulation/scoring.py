"""Judge finished models on the sites' test cases, side by side, and remember the scores on disk."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.evaluation import score_cases_with_curves
from common.durable import storage_errors, write_durably
from common.metrics.exam_curve import ExamCurve
from common.metrics.froc import THRESHOLDS
from common.metrics.scores import CaseScores
from common.model.weights import trained_network
from common.schema import canonical_json
from common.weights import Weights, from_safetensors, to_safetensors
from simulation.pool import Workers, in_turn
from simulation.progress import Progress
from simulation.sites import Prepared, load_prepared, open_site

SCORES_FOLDER = "scores"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finished model to be judged, by a name such as `federated`, `pooled` or `local-site-a`."""

    name: str
    weights: Weights


@dataclass(frozen=True, slots=True)
class ModelScores:
    """One model's scores and, in the same order, its exams' parts in a FROC curve."""

    cases: tuple[CaseScores, ...] = ()
    curves: tuple[ExamCurve, ...] = ()


def score_candidates(
    prepared: Prepared, candidates: tuple[Candidate, ...], folder: Path, workers: Workers, progress: Progress
) -> dict[str, ModelScores]:
    """Scores of every candidate on every site's test cases, in order of site and exam.

    Scores of the very same weights on the very same cases are read back instead of computed anew; where a file was
    written without curves, or with those of other thresholds, the model is judged again.

    Raises:
        FedmetsError: a worker died.
        StorageError: the disk is full.
    """
    with storage_errors(folder):
        (folder / SCORES_FOLDER).mkdir(exist_ok=True)
    cases = cases_id(prepared)
    known = {c.name: _read(folder, c, cases) for c in candidates}
    missing = [c for c in candidates if known[c.name] is None]
    sites = tuple(site.name for site in prepared.sites if site.test)
    progress.stage("evaluation", len(missing) * len(sites))
    for candidate in missing:
        write_durably(weights_file(folder, candidate.name), to_safetensors(candidate.weights))
    work = [(candidate, site) for candidate in missing for site in sites]
    parts: dict[str, dict[str, ModelScores]] = {c.name: {} for c in missing}
    for (candidate, site), scores in in_turn(workers, score_job, work, lambda w: (folder, w[0].name, w[1])):
        own = parts[candidate.name]
        own[site] = scores
        if len(own) == len(sites):
            whole = _joined([own[name] for name in sites])
            known[candidate.name] = whole
            _write(folder, candidate, cases, whole)
        progress.advance(f"{candidate.name} at {site}")
    return {name: scores or ModelScores() for name, scores in known.items()}


def score_job(folder: Path, candidate: str, site_name: str) -> ModelScores:
    """Judge one candidate on one site's test cases, in a worker process."""
    plan = load_prepared(folder).plan
    site = open_site(folder, site_name)
    file = weights_file(folder, candidate)
    model = trained_network(plan, from_safetensors(file.read_bytes(), file))
    judged = score_cases_with_curves(model.to(site.device), site.test_cases, plan, site_name, site.device)
    return ModelScores(tuple(scores for scores, _ in judged), tuple(curve for _, curve in judged))


def cases_id(prepared: Prepared) -> str:
    """Hex sha256 over every site's test cases, by exam and content."""
    cases = {site.name: [[case.exam, case.key] for case in site.test] for site in prepared.sites}
    return hashlib.sha256(canonical_json(cases).encode()).hexdigest()


def weights_file(folder: Path, name: str) -> Path:
    """Where the weights of a judged model lie."""
    return folder / SCORES_FOLDER / f"{name}.safetensors"


def _scores_file(folder: Path, name: str) -> Path:
    return folder / SCORES_FOLDER / f"{name}.json"


def _joined(parts: Sequence[ModelScores]) -> ModelScores:
    return ModelScores(
        tuple(score for part in parts for score in part.cases),
        tuple(curve for part in parts for curve in part.curves),
    )


def _write(folder: Path, candidate: Candidate, cases: str, scores: ModelScores) -> None:
    record = {
        "model_sha256": candidate.weights.sha256(),
        "test_cases": cases,
        "cases": [score.to_dict() for score in scores.cases],
        "thresholds": THRESHOLDS,
        "curves": [curve.to_dict() for curve in scores.curves],
    }
    write_durably(_scores_file(folder, candidate.name), json.dumps(record, indent=1).encode())


def _read(folder: Path, candidate: Candidate, cases: str) -> ModelScores | None:
    """What an earlier invocation wrote of these weights on these cases; None where it cannot be had."""
    try:
        record = json.loads(_scores_file(folder, candidate.name).read_bytes())
        if (record["model_sha256"], record["test_cases"]) != (candidate.weights.sha256(), cases):
            return None
        if record["thresholds"] != list(THRESHOLDS):
            return None
        return ModelScores(
            tuple(CaseScores.from_dict(row) for row in record["cases"]),
            tuple(ExamCurve.from_dict(row) for row in record["curves"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
