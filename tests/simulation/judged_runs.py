"""A judged run with as many patients as a card needs, made of records alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from client.data.case import Metadata
from common.metrics.scores import CaseScores, LesionScore
from common.weights import Weights
from server.records import Outcome, Participation, RoundRecord, RunStatus
from simulation.result import Judged
from tests.simulation.experiments import SITES, make_prepared, make_site

Volumes = Sequence[float]
OF_ALL_SIZES: Volumes = (
    8.0,
    20.0,
    60.0,
    200.0,
    400.0,
    2000.0,
)  # one lesion in each class that both divisions make


def make_patient(site: str, number: int, volumes: Volumes = OF_ALL_SIZES, dice: float = 0.7) -> CaseScores:
    """One exam; of its lesions every other is found, and there is one false positive."""
    lesions = tuple(LesionScore(volume, bool((place + number) % 2)) for place, volume in enumerate(volumes))
    found = sum(lesion.detected for lesion in lesions)
    patient = f"{site}-{number}"
    return CaseScores(patient, f"{patient}A", site, dice + 0.01 * number, lesions, found + 1, 1)


def make_scores_of(
    tests: Mapping[str, int], volumes: Volumes = OF_ALL_SIZES, dice: float = 0.7
) -> tuple[CaseScores, ...]:
    """So many test patients by site."""
    return tuple(
        make_patient(site, number, volumes, dice) for site, count in tests.items() for number in range(count)
    )


def make_judged(
    scores: tuple[CaseScores, ...],
    training: Mapping[str, int] | None = None,
    traits: Mapping[tuple[str, str], Metadata] | None = None,
    outcome: Outcome = Outcome.ACCEPTED,
) -> Judged:
    """A federation of SITES with a pooled and a local baseline that score as it does."""
    prepared = make_prepared(*(make_site(name, (training or {}).get(name, 6), 1) for name in SITES))
    sites = tuple(Participation(site=name, outcome=outcome, cases=6, steps=5, loss=0.5) for name in SITES)
    record = RoundRecord(round=1, plan_id="p", seed=5, advanced=True, model_sha256="m", seconds=2.0, sites=sites)
    models = ("federated", "pooled", "local-north")
    weights = Weights((("w", (3,)),), np.zeros(3, np.float32))
    return Judged(
        prepared=prepared,
        status=RunStatus.COMPLETED,
        history=(record,),
        baselines={},
        models=dict.fromkeys(models, weights),
        scores=dict.fromkeys(models, scores),
        traits=traits or {},
    )
