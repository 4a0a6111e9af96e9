"""A plan's settings of training: loss, sampling, augmentation, optimiser."""

from typing import Literal

from pydantic import model_validator

from common.numbers import Count, Fraction, NotNegative, Positive
from common.schema import Frozen


class AugmentationSpec(Frozen):
    """Probabilities per patch; ranges after nnU-Net, rotations and scalings kept small."""

    flip: Fraction = 0.5
    rotate: Fraction = 0.2
    rotate_degrees: NotNegative = 15.0
    scale: Fraction = 0.2
    scale_range: tuple[Positive, Positive] = (0.85, 1.2)
    gamma: Fraction = 0.3
    gamma_range: tuple[Positive, Positive] = (0.7, 1.5)
    noise: Fraction = 0.1
    noise_variance: NotNegative = 0.1
    brightness: Fraction = 0.15
    brightness_range: tuple[Positive, Positive] = (0.75, 1.25)


class TrainingSpec(Frozen):
    """What a site does with its own cases in one round."""

    steps: Count = 50
    batch_size: Count = 2
    patch_size: tuple[Count, Count, Count] = (64, 64, 64)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Fraction = 0.99
    nesterov: bool = True
    weight_decay: NotNegative = 3e-5
    schedule: Literal["poly", "constant"] = "poly"
    gradient_clip_norm: Positive | None = 12.0
    loss: Literal["dice_ce"] = "dice_ce"
    foreground_share: Fraction = 0.33
    augmentation: AugmentationSpec = AugmentationSpec()
    threads: Count = 1
    mixed_precision: Literal["auto", "on", "off"] = "auto"
    channels_last: Literal["auto", "on", "off"] = "auto"

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "TrainingSpec":
        if self.optimizer == "sgd" and self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov = true needs momentum above 0")
        return self
