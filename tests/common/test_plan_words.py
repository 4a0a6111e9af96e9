"""What people read of a plan before they decide about it."""

from typing import Any

import pytest

from common.plan import Plan
from common.plan_words import what_runs

SETTINGS: dict[str, Any] = {"name": "p", "sequences": ("t1c", "flair"), "sites": ("a",)}
CLASSES = ("netc", "snfh", "et")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "and a segmentation of tumour; resampled"),
        (
            {},
            "loss dice_ce; patches drawn by 'foreground'\nscores count tumour, in predictions cut off at the",
        ),
        ({"labels": CLASSES}, "of netc, snfh, et (or coarser: label_map and unannotated in site.toml); resampled"),
        (
            {"labels": CLASSES, "evaluation": {"tumour": ("netc", "et"), "mirror": True}},
            "scores count netc, et, in predictions cut off at the brain mask, each a mean over 8 mirrorings",
        ),
        (
            {"training": {"loss": "blob", "sampling": "small_lesions"}, "model": {"deep_supervision": True}},
            "loss blob on coarser outputs too; patches drawn by 'small_lesions'\n",
        ),
        (
            {"optional_sequences": ("flair",), "training": {"modality_dropout": 0.2}},
            "patches drawn by 'foreground', each optional sequence emptied in 20% of them",
        ),
        (
            {"postprocessing": {"outside_brain": "lesions", "min_lesion_mm3": 10.0}},
            "in predictions without lesions outside the brain, without lesions under 10 mm3\n",
        ),
        ({"postprocessing": {"outside_brain": "keep"}}, "in predictions as they are, outside the brain too\n"),
    ],
)
def test_what_changes_the_work_is_said(change: dict[str, Any], words: str) -> None:
    assert words in "\n".join(what_runs(Plan.model_validate({**SETTINGS, **change})))
