"""The segment tool on real scans: anisotropic raw series with a skull, and stripped 1 mm volumes."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from client.segmentation import segment
from common.errors import ModelRefused
from common.model.build import build_model
from common.model.weights import weights_of
from common.plan import PreprocessingSpec
from common.release import Release
from tests.client.segmentation_case import PLAN

ROOT = os.environ.get("FEDMETS_REAL_DATA")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(ROOT is None, reason="FEDMETS_REAL_DATA is not set: no real scans"),
]
CPU = torch.device("cpu")
HEADER = ("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "xyzt_units")


@pytest.fixture(scope="module")
def release() -> Release:
    """An untrained network at coarse spacing: what it finds is noise, where it puts it is not."""
    plan = PLAN.model_copy(update={"preprocessing": PreprocessingSpec(spacing_mm=(4.0, 4.0, 4.0))})
    weights = weights_of(build_model(plan.model, plan.in_channels, plan.out_channels, plan.seed))
    return Release(plan, weights, {}, weights.sha256(), 1)


def raw_series() -> dict[str, Path]:
    """T1c (256 x 224 x 26) and FLAIR (208 x 256 x 26), LAS, 5.5 mm slices, slightly oblique, skull on."""
    folder = Path(ROOT or "") / "tcga-fg-6692"
    (t1c,), (flair,) = folder.glob("*POST_GAD*_t1c.nii.gz"), folder.glob("*FLAIR*_fla.nii.gz")
    return {"t1c": t1c, "flair": flair}


def assert_same_grid(mask: Path, source: Path) -> None:
    ours, theirs = nib.load(mask), nib.load(source)
    assert ours.shape == theirs.shape
    assert ours.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(ours.affine, theirs.affine)
    for field in HEADER:
        np.testing.assert_array_equal(ours.header[field], theirs.header[field])


def test_raw_series_with_a_skull_are_refused(release: Release, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"t1c\.nii\.gz is not skull-stripped .* give --brain-mask PATH"):
        segment(release, raw_series(), tmp_path / "mask.nii.gz", device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_raw_series_with_a_brain_mask_come_back_on_the_t1c_grid(release: Release, tmp_path: Path) -> None:
    images = raw_series()
    t1c = nib.load(images["t1c"])
    middle = (np.array(t1c.shape) - 1) / 2
    inside = ((np.moveaxis(np.indices(t1c.shape), 0, -1) - middle) / (60.0, 70.0, 9.0)) ** 2
    brain = (inside.sum(axis=-1) <= 1.0).astype(np.uint8)
    nib.save(nib.Nifti1Image(brain, t1c.affine), tmp_path / "brain.nii.gz")
    segment(release, images, tmp_path / "mask.nii.gz", brain_mask=tmp_path / "brain.nii.gz", device=CPU)
    assert_same_grid(tmp_path / "mask.nii.gz", images["t1c"])
    assert not np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj)[:, :, [0, -1]].any()


def test_stripped_1_mm_volumes_come_back_on_their_grid(release: Release, tmp_path: Path) -> None:
    case = Path(ROOT or "") / "brats2013" / "brats_2013_pat0001_1"
    images = {"t1c": case / "T1c_subtrMeanDivStd.nii.gz", "flair": case / "Flair_subtrMeanDivStd.nii.gz"}
    segment(release, images, tmp_path / "mask.nii.gz", device=CPU)
    assert_same_grid(tmp_path / "mask.nii.gz", images["t1c"])
    brain = np.asarray(nib.load(case / "brainmask.nii.gz").dataobj) > 0.5
    found = np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj) > 0
    assert found.any()
    assert np.count_nonzero(found & ~brain) <= 0.05 * np.count_nonzero(found)
