"""Lesion-wise Dice and HD95 of an arm, by the rule of BraTS-METS 2023/24, with intervals over patients."""

from collections.abc import Sequence

import numpy as np

from common.metrics.intervals import Interval, ratio_intervals
from common.metrics.scores import CaseScores


def lesionwise_intervals(scores: Sequence[CaseScores], seed: int) -> dict[str, Interval]:
    """Mean over cases of both measures, by resampling patients with all their exams.

    Args:
        scores: of one model; cases without lesion-wise scores count nowhere.
        seed: of the run; the draws of patients follow from it, and no other draw is touched.
    """
    patients = sorted({(score.site, score.patient) for score in scores})
    measures = {
        "lesionwise_dice": [score.lesionwise_dice for score in scores],
        "lesionwise_hd95": [score.lesionwise_hd95_mm for score in scores],
    }
    sums = {name: {patient: [0.0, 0.0] for patient in patients} for name in measures}
    for name, values in measures.items():
        for score, value in zip(scores, values, strict=True):
            if value is not None:
                own = sums[name][score.site, score.patient]
                own[0] += value
                own[1] += 1.0
    pairs = {name: [(own[0], own[1]) for own in by_patient.values()] for name, by_patient in sums.items()}
    return ratio_intervals(pairs, np.random.default_rng(np.random.SeedSequence([seed, 0x1E5])))
