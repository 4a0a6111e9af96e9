"""Exams' parts in FROC curves, drawn at random or written by hand."""

import numpy as np

from common.metrics.exam_curve import ExamCurve, exam_curve
from common.metrics.froc import THRESHOLDS, ScanCounts
from common.metrics.scores import CaseScores, LesionScore

VOLUMES_MM3 = (8, 20, 60, 200, 400, 2000)


def drawn_curves(patients: int, seed: int, sites: tuple[str, ...] = ("north", "south")) -> tuple[ExamCurve, ...]:
    """Two exams a patient; a lesion of an exam is found up to a threshold of its own."""
    rng = np.random.default_rng(seed)
    lesions = np.random.default_rng(0)  # the reference is the same whatever the model
    curves = []
    for number in range(2 * patients):
        volumes = lesions.choice(VOLUMES_MM3, int(lesions.integers(0, 5)))
        found = rng.random(len(volumes))[None] >= np.array(THRESHOLDS)[:, None]
        false = np.sort(rng.poisson(2.0, len(THRESHOLDS)))[::-1]
        auc = float(rng.uniform(0.9, 1.0)) if len(volumes) else None
        patient, site = f"p{number // 2}", sites[number // 2 % len(sites)]
        curves.append(exam_curve(ScanCounts(volumes, found, false), 1.0, auc, patient, f"e{number}", site))
    return tuple(curves)


def scores_at(curve: ExamCurve, place: int) -> CaseScores:
    """The plain scores that the exam has at one threshold; Dice is not known and 0."""
    volumes = {"under_27": 10.0, "27_to_275": 100.0, "over_275": 1000.0}
    lesions = tuple(
        LesionScore(volumes[band], number < curve.found[band][place])
        for band in volumes
        for number in range(curve.lesions[band])
    )
    false = curve.false_positives[place]
    return CaseScores(curve.patient, curve.exam, curve.site, 0.0, lesions, false, false)
