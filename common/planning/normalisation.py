"""How intensities are normalised: by z-scores, since every sequence is magnetic resonance."""

from dataclasses import dataclass

MASKED_BELOW = 0.75


@dataclass(frozen=True, slots=True)
class Normalisation:
    """One scheme a sequence.

    Attributes:
        schemes: by sequence, "zscore".
        inside_mask: mean and standard deviation are the brain's, and 0 is left outside it.
    """

    schemes: dict[str, str]
    inside_mask: bool


def plan_normalisation(sequences: tuple[str, ...], cropped_share: float) -> Normalisation:
    """nnU-Net's rule: z-scores, taken inside the brain where cropping to it leaves under 3/4 of the image.

    Args:
        sequences: all of them magnetic resonance; nnU-Net would clip and scale computed tomography otherwise.
        cropped_share: voxels after cropping over voxels before, in the median case.
    """
    return Normalisation(dict.fromkeys(sequences, "zscore"), cropped_share < MASKED_BELOW)
