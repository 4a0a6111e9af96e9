"""Made-up scores and traits of patients, for the tests of this folder."""

from dataclasses import dataclass

import numpy as np

from common.metrics.scores import CaseScores, LesionScore


@dataclass(frozen=True)
class Exam:
    age_years: float | None = None
    sex: str | None = None
    primary_cancer: str | None = None
    field_strength_t: float | None = None


def case(
    patient: str, dice: float = 0.7, lesions: int = 2, found: int = 1, site: str = "north", exam: str = "A"
) -> CaseScores:
    rows = tuple(LesionScore(100.0, number < found) for number in range(lesions))
    return CaseScores(patient, f"{patient}{exam}", site, dice, rows, found + 1, 1)


def cohort(seed: int, patients: int = 60, site: str = "north") -> tuple[CaseScores, ...]:
    rng = np.random.default_rng(seed)
    scores = []
    for number in range(patients):
        lesions = int(rng.integers(1, 12))
        found = int(rng.binomial(lesions, 0.7))
        scores.append(case(f"p{number:03d}", float(rng.uniform(0.4, 0.9)), lesions, found, site))
    return tuple(scores)
