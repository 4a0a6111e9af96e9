import numpy as np
import pytest
from scipy import stats

from common.metrics.auc import roc_auc
from common.metrics.confusion import VoxelCounts, count_voxels
from common.metrics.overlap import dice
from common.metrics.region import score_region
from tests.common.metrics.masks import blob_pair, boxes


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_independent_formulas(seed: int) -> None:
    prediction, reference = blob_pair(seed)
    counts = count_voxels(prediction, reference)
    assert counts.mcc == pytest.approx(np.corrcoef(prediction.ravel(), reference.ravel())[0, 1])
    assert counts.dice == pytest.approx(dice(prediction, reference))
    assert counts.iou == pytest.approx((prediction & reference).sum() / (prediction | reference).sum())
    assert counts.iou == pytest.approx(counts.dice / (2 - counts.dice))
    assert counts.precision == pytest.approx(reference[prediction].mean())
    assert counts.recall == pytest.approx(prediction[reference].mean())
    assert counts.specificity == pytest.approx((~prediction[~reference]).mean())


def test_empty_masks() -> None:
    def measures(counts: VoxelCounts) -> tuple[float, ...]:
        return (counts.dice, counts.iou, counts.precision, counts.recall, counts.mcc)

    assert measures(VoxelCounts(0, 0, 0, 9)) == (1.0,) * 5
    assert measures(VoxelCounts(0, 4, 0, 5)) == (0.0,) * 5
    assert measures(VoxelCounts(0, 0, 4, 5)) == (0.0,) * 5
    assert VoxelCounts(9, 0, 0, 0).specificity == 1.0
    assert VoxelCounts(0, 4, 0, 5).specificity == pytest.approx(5 / 9)


def test_voxels_outside_a_cut_count_as_background() -> None:
    prediction, reference = boxes((9, 9, 9), (1, 1, 1, 3)), boxes((9, 9, 9), (2, 1, 1, 3))
    whole = score_region(prediction, reference, (1.0, 1.0, 1.0))
    cut = score_region(prediction[:5, :4, :4], reference[:5, :4, :4], (1.0, 1.0, 1.0), scan_voxels=9**3)
    assert cut == whole


@pytest.mark.parametrize("levels", [4, 1_000_000])
def test_auc_agrees_with_mann_whitney(levels: int) -> None:
    rng = np.random.default_rng(levels)
    reference = rng.random((7, 8, 9)) < 0.1
    probability = np.round(np.clip(rng.normal(0.4 + 0.2 * reference, 0.2), 0, 1) * levels) / levels
    statistic = stats.mannwhitneyu(probability[reference], probability[~reference]).statistic
    expected = statistic / (reference.sum() * (~reference).sum())
    assert roc_auc(probability, reference) == pytest.approx(expected, abs=1e-12)


def test_auc_of_the_docstring_and_where_it_is_undefined() -> None:
    probability = np.array([0.1, 0.4, 0.4, 0.8])
    assert roc_auc(probability, np.array([0, 0, 1, 1])) == 0.875
    assert roc_auc(probability, np.zeros(4)) is None
    assert roc_auc(probability, np.ones(4)) is None
    with pytest.raises(ValueError, match="not finite"):
        roc_auc(np.array([0.1, np.nan]), np.array([0, 1]))
