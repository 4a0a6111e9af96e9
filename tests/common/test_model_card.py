"""What a card says of any model: identity, settings, use."""

from common.model_card import Identity, model_section, settings_section, use_section
from common.plan import Plan

PLAN = Plan.model_validate(
    {
        "name": "bm-1",
        "sequences": ("t1c", "flair"),
        "labels": ("netc", "et"),
        "sites": ("north", "south"),
        "model": {"name": "unet_small", "channels": (4, 8)},
        "training": {"gradient_clip_norm": None, "augmentation": {"noise": 0.4}},
        "federation": {"rounds": 7},
    }
)


def test_the_model_is_named_by_its_digests() -> None:
    plan = Plan.model_validate({**dict(PLAN), "optional_sequences": ("flair",)})
    assert "| `t1c`, `flair` (may be missing); skull" in model_section(plan, Identity("ab" * 32, 1, 1, "partial"))
    text = model_section(PLAN, Identity("ab" * 32, 1234567, 6, "partial"))
    assert f"`{'ab' * 32}`" in text
    assert f"`{PLAN.fingerprint()}`" in text
    assert "1,234,567 parameters" in text
    assert "round 6 of 7; the federation is partial" in text
    assert "0 background, 1 `netc`, 2 `et`" in text


def test_settings_tell_the_main_ones_and_whatever_else_differs() -> None:
    text = settings_section(PLAN)
    assert "| width by stage | `4, 8` |" in text
    assert "| loss | `dice_ce` |" in text
    assert "| rounds | `7` |" in text
    assert "`training.augmentation.noise` = `0.4`" in text
    assert "`training.gradient_clip_norm` = `None`" in text
    assert "learning_rate" not in text.split("Other settings")[1]  # at its default, and in the table
    assert "salt" not in text


def test_the_command_names_every_sequence() -> None:
    assert "--image t1c=t1c.nii.gz --image flair=flair.nii.gz" in use_section(PLAN.sequences)
