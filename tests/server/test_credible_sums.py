"""Whatever an honest site sends is believed, and nothing of fewer patients than agreed follows from it."""

import numpy as np
import pytest

from client.disclosure import sums_that_leave
from common.metrics.scores import VOLUME_BANDS, CaseScores, LesionScore, volume_band
from common.protocol import SUPPRESSED, CaseSums
from server.credible_sums import credible_scores


def site(seed: int) -> list[CaseScores]:
    """Up to nine patients, most with few lesions of few classes, one of them perhaps with all false positives."""
    rng = np.random.default_rng(seed)
    scores = []
    for patient in range(int(rng.integers(0, 10))):
        for exam in range(int(rng.integers(1, 4))):
            volumes = rng.choice((9.0, 90.0, 900.0), int(rng.integers(0, 3)), p=rng.dirichlet((0.4, 0.4, 0.4)))
            lesions = tuple(LesionScore(float(volume), bool(rng.random() < 0.5)) for volume in volumes)
            false = int(rng.integers(0, 9)) if patient == 0 or seed % 2 else 0
            dice = float(rng.choice((0.0, 1.0, rng.random())))
            scores.append(CaseScores(f"p{patient}", f"p{patient}-{exam}", "s", dice, lesions, 3 + false, false))
    return scores


@pytest.mark.parametrize("smallest_cell", [1, 2, 3, 5])
def test_honest_sums_are_believed_and_hide_small_classes(smallest_cell: int) -> None:
    told = 0
    for seed in range(150):
        scores = site(seed)
        sums = sums_that_leave(scores, smallest_cell)
        assert credible_scores(sums, smallest_cell, 1000), sums
        if not isinstance(sums, CaseSums):
            assert (sums == SUPPRESSED) == (len({score.patient for score in scores}) > 0)
            continue
        told += 1
        behind = {
            band: {s.patient for s in scores for x in s.lesions if volume_band(x.volume_mm3) == band}
            for band in VOLUME_BANDS
        }
        shown = [behind[band] for band in sums.by_volume]
        rest = set().union(*(behind[band] for band in VOLUME_BANDS if band not in sums.by_volume))
        assert all(not patients or len(patients) >= smallest_cell for patients in shown)
        if sums.lesions is not None:  # then the hidden classes' sum follows
            assert not rest or len(rest) >= smallest_cell
    assert told > 30
