"""Judge finished models on the sites' test cases, side by side, and remember the scores on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

from client.evaluation import score_cases
from common.durable import storage_errors, write_durably
from common.metrics.scores import CaseScores
from common.model.build import build_model
from common.model.weights import load_weights
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


def score_candidates(
    prepared: Prepared, candidates: tuple[Candidate, ...], folder: Path, workers: Workers, progress: Progress
) -> dict[str, tuple[CaseScores, ...]]:
    """Scores of every candidate on every site's test cases, in order of site and exam.

    Scores of the very same weights from an earlier invocation are read back instead of computed.
    """
    with storage_errors(folder):
        (folder / SCORES_FOLDER).mkdir(exist_ok=True)
    known = {c.name: _read(folder, c) for c in candidates}
    missing = [c for c in candidates if known[c.name] is None]
    sites = tuple(site.name for site in prepared.sites if site.test)
    progress.stage("evaluation", len(missing) * len(sites))
    for candidate in missing:
        write_durably(_weights_file(folder, candidate.name), to_safetensors(candidate.weights))
    work = [(candidate, site) for candidate in missing for site in sites]
    parts: dict[str, dict[str, tuple[CaseScores, ...]]] = {c.name: {} for c in missing}
    for (candidate, site), scores in in_turn(workers, score_job, work, lambda w: (folder, w[0].name, w[1])):
        parts[candidate.name][site] = scores
        progress.advance(f"{candidate.name} at {site}")
    for candidate in missing:
        known[candidate.name] = tuple(score for site in sites for score in parts[candidate.name][site])
        _write(folder, candidate, known[candidate.name] or ())
    return {name: scores or () for name, scores in known.items()}


def score_job(folder: Path, candidate: str, site_name: str) -> tuple[CaseScores, ...]:
    """Judge one candidate on one site's test cases, in a worker process."""
    plan = load_prepared(folder).plan
    site = open_site(folder, site_name)
    file = _weights_file(folder, candidate)
    model = build_model(plan.model, plan.in_channels, plan.out_channels, plan.seed)
    load_weights(model, from_safetensors(file.read_bytes(), file))
    return score_cases(model.to(site.device), site.test_cases, plan, site_name, site.device)


def _weights_file(folder: Path, name: str) -> Path:
    return folder / SCORES_FOLDER / f"{name}.safetensors"


def _scores_file(folder: Path, name: str) -> Path:
    return folder / SCORES_FOLDER / f"{name}.json"


def _write(folder: Path, candidate: Candidate, scores: tuple[CaseScores, ...]) -> None:
    rows = [score.to_dict() for score in scores]
    record = {"model_sha256": candidate.weights.sha256(), "cases": rows}
    write_durably(_scores_file(folder, candidate.name), json.dumps(record, indent=1).encode())


def _read(folder: Path, candidate: Candidate) -> tuple[CaseScores, ...] | None:
    file = _scores_file(folder, candidate.name)
    if not file.exists():
        return None
    record = json.loads(file.read_text())
    if record["model_sha256"] != candidate.weights.sha256():
        return None
    return tuple(CaseScores.from_dict(row) for row in record["cases"])
