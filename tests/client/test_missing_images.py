"""Segmenting where images are missing: what may lack, what is made, and what is refused; end to end."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from client.cli import app
from client.given_images import check_images, in_words
from client.segmentation import segment
from common.cli import run_app
from common.errors import ModelRefused
from common.plan import Plan
from common.release import Release, write_release
from common.weights import pack
from tests.client.segmentation_case import LESION_MM3, PLAN, scan, threshold_network

CPU = torch.device("cpu")
UNION = Plan.model_validate(
    {
        **PLAN.model_dump(),
        "optional_sequences": ("flair",),
        "training": {"patch_size": (32, 32, 32), "modality_dropout": 0.2},
    }
)
SUBTRACTED = Plan.model_validate(
    {
        **PLAN.model_dump(),
        "sequences": ("t1c", "subtraction"),
        "preprocessing": {"spacing_mm": (2.0, 2.0, 2.0), "make_subtraction": True},
    }
)


@pytest.fixture(autouse=True)
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.model.weights.new_network", threshold_network)


def release_of(plan: Plan, second: float = 0.5) -> Release:
    """A model whose probability is 0.5 at 3 standard deviations on t1c, a second channel counting as well."""
    weight = np.zeros((2, 2, 1, 1, 1))
    weight[1] = np.array([1.0, second]).reshape(2, 1, 1, 1)
    weights = pack({"weight": weight, "bias": np.array([0.0, -3.0])})
    return Release(plan, weights, {}, weights.sha256(), 1)


def probabilities(release: Release, images: dict[str, Path], out: Path) -> tuple[np.ndarray[Any, Any], str]:
    summary = segment(release, images, out / "m.nii.gz", probability=out / "p.nii.gz", device=CPU)
    return np.asarray(nib.load(out / "p.nii.gz").dataobj), summary.remark


def plain(folder: Path, t1c: Path) -> Path:
    """The scan before contrast: its lesion as bright as the tissue around it, at another gain."""
    image = nib.load(t1c)
    values = image.get_fdata()
    path = folder / "t1.nii.gz"
    nib.save(
        nib.Nifti1Image((np.where(values == 500.0, 100.0, values) * 3.0).astype(np.float32), image.affine), path
    )
    return path


def test_an_optional_image_may_be_left_out_and_that_is_said(tmp_path: Path) -> None:
    release = release_of(UNION)
    images = {"t1c": scan(tmp_path / "t1c.nii.gz"), "flair": scan(tmp_path / "flair.nii.gz", "LAS")}
    whole, nothing = probabilities(release, images, tmp_path)
    partial, said = probabilities(release, {"t1c": images["t1c"]}, tmp_path)
    assert (nothing, said) == ("", "without flair: the model was trained to do without")
    assert partial.shape == whole.shape and np.abs(partial - whole).max() > 1e-3
    # the same as a network that does not look at the second channel
    blind, _ = probabilities(release_of(UNION, second=0.0), images, tmp_path)
    np.testing.assert_array_equal(partial, blind)


def test_the_command_says_so_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_release(tmp_path / "model", UNION, release_of(UNION).weights, {}, round_id=1)
    t1c, out = scan(tmp_path / "t1c.nii.gz"), tmp_path / "mask.nii.gz"
    command = ["segment", str(tmp_path / "model"), f"--image=t1c={t1c}", f"--out={out}", "--device=cpu"]
    assert run_app(app, "fedmets-site", command) == 0
    assert "; without flair: the model was trained to do without; " in capsys.readouterr().out
    assert run_app(app, "fedmets-site", [*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["remark"].startswith("without flair")


def test_a_subtraction_is_made_where_t1_is_given_beside_what_the_model_reads(tmp_path: Path) -> None:
    weight = np.zeros((2, 2, 1, 1, 1))
    weight[1, 1] = 3.0  # by the subtraction alone
    weights = pack({"weight": weight, "bias": np.array([0.0, -12.0])})
    t1c = scan(tmp_path / "t1c.nii.gz")
    images = {"t1c": t1c, "t1": plain(tmp_path, t1c)}
    summary = segment(
        Release(SUBTRACTED, weights, {}, weights.sha256(), 1), images, tmp_path / "m.nii.gz", device=CPU
    )
    assert summary.remark == "subtraction made of t1c and t1"
    assert [lesion.volume_mm3 for lesion in summary.lesions] == pytest.approx([LESION_MM3], rel=0.2)


@pytest.mark.parametrize(
    ("plan", "given", "message"),
    [
        (
            UNION,
            "flair",
            "no image of sequence 't1c': this model reads t1c, and flair if there is one; add --image",
        ),
        (UNION, "t1c t2", "'t2' .* is one too many: this model reads t1c, and flair if there is one"),
        (PLAN, "t1c", "no image of sequence 'flair': this model reads t1c, flair; add --image flair=PATH$"),
        (SUBTRACTED, "t1c", "'subtraction': .*; add --image subtraction=PATH, or both t1c and t1 to have it made"),
        (SUBTRACTED, "t1c t1 subtraction", "'t1' .* is one too many"),
        (PLAN, "t1c flair t1", "'t1' .* is one too many"),
    ],
)
def test_images_that_do_not_fit_are_refused(plan: Plan, given: str, message: str, tmp_path: Path) -> None:
    images = {name: tmp_path / f"{name}.nii.gz" for name in given.split()}
    with pytest.raises(ModelRefused, match=message):
        check_images(plan, images, None)


def test_what_is_said_names_everything_that_was_not_given(tmp_path: Path) -> None:
    plan = Plan.model_validate(
        {**SUBTRACTED.model_dump(), "sequences": ("t1c", "subtraction", "t2"), "optional_sequences": ("t2",)}
    )
    images = {name: tmp_path / name for name in ("t1c", "t1")}
    for path in images.values():
        path.write_text(path.name)
    said = in_words(check_images(plan, images, None), plan)
    assert said == "subtraction made of t1c and t1; without t2: its plan allows it, without modality dropout"
