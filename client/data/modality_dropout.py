"""Which channels of a training sample are absent: those that its case lacks, and those that are dropped."""

import numpy as np


def draw_absent(
    lacking: tuple[int, ...], optional: tuple[int, ...], probability: float, rng: np.random.Generator
) -> tuple[int, ...]:
    """Draw which optional channels this sample does without, besides those that its case lacks.

    Each optional channel goes with the same probability, by itself (input-level dropout after Grovik et al. 2021,
    random modality drop after FedUniBrain, arXiv 2406.11636); a required one never does. At 0.5, of two optional
    channels that are there a quarter of the samples keep both and a quarter keep neither.

    One number a channel is drawn, whether the case has it or not, so that a case that lacks one does not change
    the draws of the others; none is drawn at a probability of 0.

    Args:
        lacking: channels that the case lacks.
        optional: channels that a case may lack.
        probability: of each to be dropped.
        rng: of the site's round, for this alone.
    """
    if probability == 0.0 or not optional:
        return lacking
    gone = rng.random(len(optional)) < probability
    dropped = {channel for channel, is_gone in zip(optional, gone.tolist(), strict=True) if is_gone}
    return tuple(sorted({*lacking, *dropped}))
