import pytest
from pydantic import ValidationError

from common.training_spec import TrainingSpec


@pytest.mark.parametrize(
    ("setting", "value", "choice"),
    [
        ("focal_gamma", 3.0, "dice_focal"),
        ("tversky_alpha", 0.4, "tversky"),
        ("tversky_beta", 0.4, "tversky"),
        ("blob_weight", 1.0, "blob"),
        ("size_weight_exponent", 1.0, "size_weighted_dice"),
    ],
)
def test_a_losss_settings_are_refused_with_another_loss(setting: str, value: float, choice: str) -> None:
    spec = TrainingSpec.model_validate({"loss": choice, setting: value})
    assert getattr(spec, setting) == value
    with pytest.raises(ValidationError, match=f"{setting} = .* belongs to loss = '{choice}'"):
        TrainingSpec.model_validate({setting: value})


@pytest.mark.parametrize("setting", ["small_lesion_exponent", "small_lesion_floor_mm3"])
def test_settings_of_sampling_are_refused_with_another_sampling(setting: str) -> None:
    assert TrainingSpec.model_validate({"sampling": "small_lesions", setting: 1.0}).sampling == "small_lesions"
    with pytest.raises(ValidationError, match="belongs to sampling = 'small_lesions', and"):
        TrainingSpec.model_validate({setting: 1.0})


def test_a_tversky_loss_without_errors_is_refused() -> None:
    with pytest.raises(ValidationError, match="makes errors free"):
        TrainingSpec(loss="tversky", tversky_alpha=0.0, tversky_beta=0.0)


@pytest.mark.parametrize(
    ("batch_size", "share", "first"),
    [(2, 0.33, 1), (1, 0.33, 1), (1, 0.51, 0), (4, 0.33, 3), (2, 1.0, 0), (3, 0.0, 3)],
)
def test_the_first_patch_that_is_centred_on_a_lesion(batch_size: int, share: float, first: int) -> None:
    assert TrainingSpec(batch_size=batch_size, foreground_share=share).first_centred == first


@pytest.mark.parametrize(("batch_size", "share"), [(1, 0.33), (2, 0.2), (2, 0.0)])
def test_a_choice_of_lesions_that_centres_no_patch_is_refused(batch_size: int, share: float) -> None:
    with pytest.raises(
        ValidationError, match=f"of a batch of {batch_size} at foreground_share = {share:g} none is"
    ):
        TrainingSpec(sampling="small_lesions", batch_size=batch_size, foreground_share=share)


def test_what_would_teach_nothing_or_run_away_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        TrainingSpec(modality_dropout=1.0)
    with pytest.raises(ValidationError, match="less than or equal to 2"):
        TrainingSpec(loss="size_weighted_dice", size_weight_exponent=8.0)


def test_a_spec_travels_with_all_its_settings() -> None:
    spec = TrainingSpec(loss="blob", blob_weight=1.0, sampling="small_lesions")
    assert TrainingSpec.from_json(spec.to_json()) == spec
