"""A plan's settings of training: loss, sampling, augmentation, optimiser."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

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


_BELONGS_TO = {
    "focal_gamma": ("loss", "dice_focal"),
    "tversky_alpha": ("loss", "tversky"),
    "tversky_beta": ("loss", "tversky"),
    "blob_weight": ("loss", "blob"),
    "size_weight_exponent": ("loss", "size_weighted_dice"),
    "small_lesion_exponent": ("sampling", "small_lesions"),
    "small_lesion_floor_mm3": ("sampling", "small_lesions"),
}
"""Settings that mean something with one loss or one way of sampling alone."""


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
    loss: Literal["dice_ce", "dice_bce", "dice_focal", "tversky", "blob", "size_weighted_dice"] = "dice_ce"
    focal_gamma: NotNegative = 2.0
    tversky_alpha: NotNegative = 0.3
    tversky_beta: NotNegative = 0.7
    blob_weight: Positive = 0.5
    size_weight_exponent: Annotated[float, Field(ge=0.0, le=2.0)] = 0.5  # float32 ends at a few times that
    foreground_share: Fraction = 0.33
    sampling: Literal["foreground", "small_lesions"] = "foreground"
    small_lesion_exponent: NotNegative = 0.5
    small_lesion_floor_mm3: Positive = 14.0
    modality_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # at 1 a sequence would never be learned
    augmentation: AugmentationSpec = AugmentationSpec()
    threads: Count = 1
    mixed_precision: Literal["auto", "on", "off"] = "auto"
    channels_last: Literal["auto", "on", "off"] = "auto"

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "TrainingSpec":
        if self.optimizer == "sgd" and self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov = true needs momentum above 0")
        return self

    @model_validator(mode="after")
    def _settings_have_their_choice(self) -> "TrainingSpec":
        for setting, (field, choice) in _BELONGS_TO.items():
            value, default = getattr(self, setting), type(self).model_fields[setting].default
            if value != default and getattr(self, field) != choice:
                raise ValueError(
                    f"{setting} = {value:g} belongs to {field} = '{choice}', and {field} is "
                    f"'{getattr(self, field)}': leave it out, or choose '{choice}'"
                )
        return self

    @property
    def first_centred(self) -> int:
        """Number, from 0, of a batch's first patch that is centred on a lesion; the batch's size where none is.

        round(batch_size * (1 - foreground_share)), as nnU-Net: 1 of a batch of 2 at 0.33, and so the second is; of
        a batch of 1 at 0.33 none is.
        """
        return round(self.batch_size * (1.0 - self.foreground_share))

    @model_validator(mode="after")
    def _lesions_are_drawn(self) -> "TrainingSpec":
        if self.sampling == "small_lesions" and self.first_centred >= self.batch_size:
            raise ValueError(
                f"sampling = 'small_lesions' chooses what patches are centred on, and of a batch of "
                f"{self.batch_size} at foreground_share = {self.foreground_share:g} none is: raise the share"
            )
        return self

    @model_validator(mode="after")
    def _tversky_weighs_an_error(self) -> "TrainingSpec":
        if self.tversky_alpha + self.tversky_beta <= 0.0:
            raise ValueError("tversky_alpha = tversky_beta = 0 makes errors free: set one of them above 0")
        return self
