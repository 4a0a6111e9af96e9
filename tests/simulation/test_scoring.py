import io
import json
from pathlib import Path

import numpy as np
import pytest

from common.metrics.exam_curve import ExamCurve
from common.weights import Weights
from simulation.pool import Workers
from simulation.progress import PlainProgress
from simulation.scoring import Candidate, ModelScores, cases_id, score_candidates
from simulation.sites import Prepared
from tests.common.metrics.curves import drawn_curves
from tests.simulation.experiments import make_prepared, make_scores, make_site

JUDGED: list[tuple[str, str]] = []


def fake_job(folder: Path, candidate: str, site: str) -> ModelScores:
    JUDGED.append((candidate, site))
    return ModelScores((make_scores(site, 0.1 * len(JUDGED)),), curves_at(site))


def curves_at(site: str) -> tuple[ExamCurve, ...]:
    return drawn_curves(1, len(site), (site,))[:1]


@pytest.fixture(autouse=True)
def no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    JUDGED.clear()
    monkeypatch.setattr("simulation.scoring.score_job", fake_job)


def candidate(name: str, value: float) -> Candidate:
    return Candidate(name, Weights((("w", (1,)),), np.array([value], np.float32)))


def score(folder: Path, prepared: Prepared, *candidates: Candidate) -> dict[str, ModelScores]:
    with Workers(1, 1) as workers:
        return score_candidates(prepared, candidates, folder, workers, PlainProgress(io.StringIO()))


def test_every_model_is_judged_at_every_site_with_test_cases(tmp_path: Path) -> None:
    prepared = make_prepared(make_site("north"), make_site("south", test=0), make_site("west"))
    scores = score(tmp_path, prepared, candidate("federated", 1.0), candidate("pooled", 2.0))
    expected = [(name, site) for name in ("federated", "pooled") for site in ("north", "west")]
    assert expected == JUDGED
    assert [row.site for row in scores["pooled"].cases] == ["north", "west"]
    assert scores["pooled"].curves == curves_at("north") + curves_at("west")


def test_known_scores_are_read_back(tmp_path: Path) -> None:
    first = score(tmp_path, make_prepared(), candidate("federated", 1.0))
    JUDGED.clear()
    again = score(tmp_path, make_prepared(), candidate("federated", 1.0), candidate("pooled", 2.0))
    assert again["federated"] == first["federated"]
    assert {name for name, _ in JUDGED} == {"pooled"}


def test_other_weights_other_cases_and_damage_are_judged_anew(tmp_path: Path) -> None:
    score(tmp_path, make_prepared(), candidate("federated", 1.0))
    more_cases = make_prepared(make_site("north", test=2), make_site("south"), make_site("west"))
    assert cases_id(more_cases) != cases_id(make_prepared())
    for prepared, value in ((make_prepared(), 1.5), (more_cases, 1.5)):
        JUDGED.clear()
        score(tmp_path, prepared, candidate("federated", value))
        assert len(JUDGED) == 3
    (tmp_path / "scores" / "federated.json").write_text("{")
    JUDGED.clear()
    score(tmp_path, more_cases, candidate("federated", 1.5))
    assert len(JUDGED) == 3


@pytest.mark.parametrize("edit", [{"curves": None}, {"thresholds": [0.25, 0.5]}])
def test_scores_without_curves_or_of_other_thresholds_are_judged_anew(
    tmp_path: Path, edit: dict[str, list[float] | None]
) -> None:
    score(tmp_path, make_prepared(), candidate("federated", 1.0))
    path = tmp_path / "scores" / "federated.json"
    record = {**json.loads(path.read_bytes()), **edit}
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not None}))
    JUDGED.clear()
    assert len(score(tmp_path, make_prepared(), candidate("federated", 1.0))["federated"].curves) == 3
    assert len(JUDGED) == 3


def test_a_model_is_remembered_as_soon_as_it_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed_at_the_second(folder: Path, name: str, site: str) -> ModelScores:
        if name == "pooled":
            raise KeyboardInterrupt
        return fake_job(folder, name, site)

    monkeypatch.setattr("simulation.scoring.score_job", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path, make_prepared(), candidate("federated", 1.0), candidate("pooled", 2.0))
    assert len(json.loads((tmp_path / "scores" / "federated.json").read_bytes())["cases"]) == 3


def test_without_test_cases_there_are_no_scores(tmp_path: Path) -> None:
    prepared = make_prepared(make_site("north", test=0))
    assert score(tmp_path, prepared, candidate("federated", 1.0)) == {"federated": ModelScores()}
