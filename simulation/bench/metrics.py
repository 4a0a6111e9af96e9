"""Every measure of a whole head beside a plain implementation: same masks, one process, one core."""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.metrics.region import RegionScores, score_region
from simulation.bench.plain_metrics import Bits, plain_scores

SHAPE = (240, 240, 155)
SPACING_MM = (1.0, 1.0, 1.0)
_SEED = 11
_APART = 5.0
_TRIES = 50
_BRAIN_MM = (70.0, 85.0, 62.0)


_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured, in seconds of processor time.

    Attributes:
        lesions, predicted: reference lesions drawn and predicted components.
        ours_s: all measures, best of the repeats.
        plain_s: the plain implementation's eight figures.
        largest_difference: between the figures that both give.
    """

    lesions: int
    predicted: int
    ours_s: float
    plain_s: float
    largest_difference: float


def run(lesions: int, repeats: int = 3) -> Result:
    """Score one synthetic head: lesions over the whole brain, most found, some missed, some invented."""
    prediction, reference = head_with_lesions(lesions)
    timed = []
    for _ in range(repeats):
        started = time.process_time()
        scores = score_region(prediction, reference, SPACING_MM)
        timed.append(time.process_time() - started)
    started = time.process_time()
    plain = plain_scores(prediction, reference, SPACING_MM)
    plain_s = time.process_time() - started
    ours = shared_figures(scores)
    return Result(
        lesions=len(scores.panoptica.lesions),
        predicted=scores.panoptica.counts.tp + scores.panoptica.false_positives,
        ours_s=min(timed),
        plain_s=plain_s,
        largest_difference=max(abs(ours[name] - plain[name]) for name in ours),
    )


def render(result: Result) -> str:
    """The result as text."""
    shape = " x ".join(str(size) for size in SHAPE)
    return (
        f"{shape}, {result.lesions} lesions, {result.predicted} predicted, one core, processor time\n"
        f"  all measures of a region     {result.ours_s:8.2f} s\n"
        f"  plain, whole volumes         {result.plain_s:8.2f} s   Dice, both HD95, lesion-wise scores only\n"
        f"  ratio                        {result.plain_s / result.ours_s:8.1f}\n"
        f"  largest difference           {result.largest_difference:.1e}"
    )


def shared_figures(scores: RegionScores) -> dict[str, float]:
    """The figures that the plain implementation gives too, under its names."""
    lesionwise = scores.lesionwise
    return {
        "dice": scores.voxels.dice,
        "hd95": scores.hd95_mm,
        "hd95_pooled": scores.hd95_pooled_mm,
        "lesionwise_dice": lesionwise.dice,
        "lesionwise_hd95": lesionwise.hd95_mm,
        "tp": lesionwise.counts.tp,
        "fp": lesionwise.counts.fp,
        "fn": lesionwise.counts.fn,
    }


def head_with_lesions(lesions: int, shape: tuple[int, int, int] = SHAPE, seed: int = _SEED) -> tuple[Bits, Bits]:
    """A prediction and a reference: balls of the published sizes, apart, over an ellipsoid that fills the scan.

    One lesion in eight is missed, and for one in six there is a false positive; the others are moved by up to
    2 voxels and redrawn up to a fifth larger or smaller.
    """
    rng = np.random.default_rng(seed)
    prediction, reference = np.zeros(shape, bool), np.zeros(shape, bool)
    half = np.asarray(_BRAIN_MM) * np.asarray(shape) / np.asarray(SHAPE)
    for number in range(lesions):
        radius = float(np.clip(np.cbrt(rng.lognormal(4.5, 1.8) * 3 / (4 * np.pi)), 1.0, 0.2 * min(shape)))
        centre = np.asarray(shape) / 2 + _in_ball(rng) * half
        for _ in range(_TRIES):
            if not reference[_box(shape, centre, radius + _APART)].any():
                break
            centre = np.asarray(shape) / 2 + _in_ball(rng) * half
        _draw(reference, centre, radius)
        if number % 8 != 7:
            _draw(prediction, centre + rng.integers(-2, 3, 3), radius * rng.uniform(0.8, 1.2))
        if number % 6 == 5:
            _draw(prediction, np.asarray(shape) / 2 + _in_ball(rng) * half, 1.5)
    return prediction, reference


def _in_ball(rng: np.random.Generator) -> _Floats:
    direction = rng.normal(size=3)
    return np.asarray(direction / np.linalg.norm(direction) * np.cbrt(rng.random()))


def _draw(mask: Bits, centre: _Floats, radius: float) -> None:
    box = _box(mask.shape, centre, radius)
    axes = np.ogrid[box]
    distance = sum((axis - middle) ** 2 for axis, middle in zip(axes, centre, strict=True))
    mask[box] |= distance <= radius**2


def _box(shape: tuple[int, ...], centre: _Floats, reach: float) -> tuple[slice, ...]:
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, shape)
    return tuple(slice(int(start), max(int(start), int(stop))) for start, stop in zip(low, high, strict=True))
