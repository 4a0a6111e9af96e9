from pathlib import Path

import numpy as np

from common.weights import Weights
from server.records import Outcome, Participation, RoundRecord, RunStatus
from simulation.result import Judged, build_result, headline
from tests.simulation.experiments import SITES, make_prepared, make_scores


def judged(status: RunStatus = RunStatus.COMPLETED, outcome: Outcome = Outcome.ACCEPTED) -> Judged:
    sites = tuple(Participation(site=name, outcome=outcome, cases=2, steps=5, loss=0.5) for name in SITES)
    record = RoundRecord(round=1, plan_id="p", seed=5, advanced=True, model_sha256="m", seconds=2.0, sites=sites)
    weights = Weights((("w", (3,)),), np.zeros(3, np.float32))
    scores = {
        "federated": tuple(make_scores(name, 0.6) for name in SITES),
        "pooled": tuple(make_scores(name, 0.75) for name in SITES),
        "local-north": tuple(make_scores(name, 0.3) for name in SITES),
    }
    return Judged(make_prepared(), status, (record,), {}, dict.fromkeys(scores, weights), scores)


def test_arms_and_comparisons_are_those_that_were_judged() -> None:
    result = build_result(judged())
    assert list(result["arms"]) == ["federated", "local", "pooled"]
    assert result["comparisons"]["federated_over_pooled"]["dice"]["estimate"] == 0.6 / 0.75
    assert round(result["comparisons"]["federated_minus_local"]["dice"]["estimate"], 9) == 0.3
    assert result["model"]["parameters"] == 3
    assert result["cases"]["north"] == {"training": 2, "validation": 0, "test": 1}


def test_subgroups_are_of_the_federated_arm_and_keep_small_groups_back() -> None:
    found = build_result(judged())["subgroups"]
    assert found["patients"] is None  # three test patients
    assert [row["suppressed"] for row in found["fields"]["site"]] == [True, True, True]


def test_the_headline_is_what_a_person_needs() -> None:
    text = headline(build_result(judged()), Path("runs/demo"))
    assert text.splitlines()[0] == "small: completed after 1 round"
    assert "federated  Dice 0.600, lesion sensitivity 1.000, precision 0.500" in text
    assert "federated / pooled Dice 0.800" in text
    assert "missing work" not in text
    assert text.endswith("runs/demo/report.html - research software, not a medical device")


def test_missing_work_is_told_in_short() -> None:
    text = headline(build_result(judged(RunStatus.PARTIAL, Outcome.LATE)), Path("out"))
    assert "missing work: north late in round 1; south late in round 1; west late in round 1\n" in text
