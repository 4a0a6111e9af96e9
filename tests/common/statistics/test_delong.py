import csv
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from common.statistics.delong import auc, auc_covariance, compare_paired, compare_unpaired

REFERENCE = os.environ.get("FEDMETS_REFERENCE")
real = pytest.mark.skipif(REFERENCE is None, reason="FEDMETS_REFERENCE is not set")


def published() -> tuple[dict[str, Any], list[bool], dict[str, list[float]]]:
    root = Path(REFERENCE or "")
    with (root / "aSAH.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {name: [float(row[name]) for row in rows] for name in ("wfns", "s100b", "ndka")}
    values: dict[str, Any] = json.loads((root / "delong_pROC.json").read_text())
    return values, [row["outcome"] == "Poor" for row in rows], scores


@real
@pytest.mark.real
def test_variances_and_covariances_are_those_of_proc() -> None:
    values, poor, scores = published()
    areas = {name: auc(poor, own) for name, own in scores.items()}
    for name, variance in values["var_delong"].items():
        assert areas[name].variance == pytest.approx(variance, abs=1e-12)
    for pair, covariance in values["cov_delong"].items():
        first, second = pair.split(",")
        assert auc_covariance(areas[first], areas[second]) == pytest.approx(covariance, abs=1e-12)
    interval = areas["ndka"].interval()
    assert [interval.low, interval.estimate, interval.high] == pytest.approx(values["ci_auc_ndka"], abs=1e-9)


@real
@pytest.mark.real
def test_comparisons_are_those_of_proc() -> None:
    values, poor, scores = published()
    for pair, expected in values["paired_test"].items():
        first, second = pair.split("-")
        found = compare_paired(poor, scores[first], scores[second])
        assert found.statistic == pytest.approx(expected["Z"], abs=1e-9)
        assert found.p == pytest.approx(expected["p"], abs=1e-9)
        assert [found.difference.low, found.difference.high] == pytest.approx(expected["ci"], abs=1e-9)
    unpaired = compare_unpaired(auc(poor, scores["wfns"]), auc(poor, scores["s100b"]))
    assert unpaired.statistic == pytest.approx(values["unpaired_test"]["wfns-s100b"]["D"], abs=1e-9)
    assert unpaired.p == pytest.approx(values["unpaired_test"]["wfns-s100b"]["p"], abs=1e-9)


def test_area_is_mann_whitney_and_variance_the_slow_definition() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(80) < 0.4
    scores = np.round(rng.normal(0, 1, 80) + truth, 1)  # with ties
    found = auc(truth.tolist(), scores.tolist())
    above, below = scores[truth], scores[~truth]
    wins = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    assert found.estimate == pytest.approx(wins.mean())
    u = stats.mannwhitneyu(above, below).statistic
    assert found.estimate == pytest.approx(u / wins.size)
    slow = wins.mean(axis=1).var(ddof=1) / len(above) + wins.mean(axis=0).var(ddof=1) / len(below)
    assert found.variance == pytest.approx(slow)


def test_hand_computed_and_edges() -> None:
    assert auc([True, True, False, False], [0.8, 0.4, 0.5, 0.2]).estimate == 0.75
    perfect = auc([True, True, False, False], [3, 4, 1, 2])
    assert (perfect.estimate, perfect.variance) == (1.0, 0.0)
    assert auc([True, False, False], [1, 0, 0]).interval().low is None
    same = compare_paired([True, True, False, False], [3, 1, 2, 0], [30, 10, 20, 0])
    assert (same.p, same.difference.estimate) == (1.0, 0.0)
    with pytest.raises(ValueError, match="2 positives and 0 negatives"):
        auc([True, True], [1, 2])
    with pytest.raises(ValueError, match="score of unit 1 is NaN"):
        auc([True, False], [1, math.nan])
    with pytest.raises(ValueError, match="not the same units"):
        auc_covariance(perfect, auc([True, False, False], [1, 0, 0]))
    with pytest.raises(ValueError, match="fewer than two"):
        compare_unpaired(perfect, auc([True, False, False], [1, 0, 0]))


def test_independent_groups_with_a_paired_test_would_be_another_question() -> None:
    """Equal areas of two groups: the unpaired p is 1, its degrees of freedom Welch's."""
    one = auc([True, True, False, False, True, False], [3, 1, 2, 0, 5, 4])
    test = compare_unpaired(one, one)
    assert (test.statistic, test.p) == (0.0, 1.0)
    assert test.degrees_of_freedom == pytest.approx(10.0)
