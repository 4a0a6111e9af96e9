"""Real images through the code path of training: almost-one masks, z-scored backgrounds, thick oblique slices."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from client.data.adapters.build import label_rule, list_cases
from client.data.cache import ensure_prepared, open_prepared
from client.data.case import Case, LabelRule
from client.data.geometry import to_native
from client.data.preprocessing import Recipe, prepare
from common.config import DataSection
from common.errors import CaseReason, CaseRejected
from common.plan import PreprocessingSpec

pytestmark = pytest.mark.real
TWO_MM = PreprocessingSpec(spacing_mm=(2.0, 2.0, 2.0))
STRIPPER = """
import sys, nibabel as nib, numpy as np
from scipy.ndimage import binary_opening
image = nib.load(sys.argv[1])
mask = binary_opening(np.asarray(image.dataobj) > 150, iterations=2)
nib.save(nib.Nifti1Image(mask.astype("uint8"), image.affine), sys.argv[2])
"""


@pytest.fixture(scope="module")
def real() -> Path:
    if "FEDMETS_REAL_DATA" not in os.environ:
        pytest.skip("FEDMETS_REAL_DATA is not set")
    return Path(os.environ["FEDMETS_REAL_DATA"])


def brats2013(real: Path, brain_mask: str | None) -> DataSection:
    return DataSection(
        adapter="nifti_folders",
        root=real / "brats2013",
        sequences={"t1c": "T1c*.nii.gz", "flair": "Flair*.nii.gz"},
        label="OTMultiClass.nii.gz",
        label_map={1: 1, 3: 1, 4: 1},
        ignore_labels=(2,),
        brain_mask=brain_mask,
    )


def test_four_patients_at_two_millimetres(real: Path, tmp_path: Path) -> None:
    section = brats2013(real, "brainmask.nii.gz")
    found = list_cases(section)
    assert len(found.cases) == 4 and found.quarantined == ()
    recipe = Recipe(("t1c", "flair"), TWO_MM, label_rule(section, ("core",)))
    for case in found.cases:
        prepared = open_prepared(tmp_path, ensure_prepared(case, recipe, tmp_path))
        assert prepared.label is not None and prepared.reference is not None
        brain_litres = prepared.mask.sum(dtype=int) * 8e-6
        assert 1.2 < brain_litres < 2.0  # a cast of 0.99999997 to integers would give 0
        assert (prepared.label > 0).sum() * 8 == pytest.approx((prepared.reference > 0).sum(), rel=0.02)
        back = to_native(prepared.label, prepared.grid, prepared.native) > 0.5
        dice = 2 * (back & (prepared.reference > 0)).sum() / (back.sum() + (prepared.reference > 0).sum())
        assert dice > 0.9
        assert prepared.native.shape == (240, 240, 155)


def test_own_background_of_z_scored_images_is_the_given_mask(real: Path) -> None:
    given, own = (list_cases(brats2013(real, mask)).cases[0] for mask in ("brainmask.nii.gz", None))
    with_mask, without = (prepare(case, Recipe(("t1c",), TWO_MM, None)) for case in (given, own))
    assert without.mask.sum() == pytest.approx(with_mask.mask.sum(), rel=0.01)


def test_label_4_is_illegal_without_a_word_about_it(real: Path) -> None:
    case = list_cases(brats2013(real, "brainmask.nii.gz")).cases[0]
    with pytest.raises(CaseRejected) as caught:
        prepare(case, Recipe(("t1c",), TWO_MM, LabelRule({1: 1, 2: 2, 3: 3})))
    assert caught.value.reason is CaseReason.ILLEGAL_LABEL


def raw_case(real: Path) -> Case:
    folder = real / "tcga-fg-6692"
    patterns = {"t1c": "*_t1c.nii.gz", "flair": "*_fla.nii.gz", "t2": "*_t2.nii.gz", "t1": "*d1_t1.nii.gz"}
    return Case("6692", "6692", {name: next(folder.glob(pattern)) for name, pattern in patterns.items()})


def test_raw_scans_of_four_matrices(real: Path) -> None:
    case = raw_case(real)
    sequences = ("t1c", "flair", "t2", "t1")
    with pytest.raises(CaseRejected) as caught:
        prepare(case, Recipe(sequences, TWO_MM, None))
    assert caught.value.reason is CaseReason.NO_BRAIN_MASK
    command = (sys.executable, "-c", STRIPPER, "{image}", "{mask}")
    prepared = prepare(case, Recipe(sequences, TWO_MM, None, command))
    assert prepared.native.shape == (256, 224, 26)
    assert prepared.native.spacing_mm == pytest.approx((0.898, 0.898, 5.5), abs=1e-3)
    assert np.isfinite(prepared.image).all()
    inside = prepared.image[:, prepared.mask == 1]
    assert abs(np.corrcoef(inside[0], inside[3])[0, 1]) > 0.3  # t1 and t1c show the same head at the same place
    back = to_native(prepared.mask, prepared.grid, prepared.native) > 0.5
    assert back.sum() * prepared.native.voxel_volume_mm3 == pytest.approx(
        prepared.mask.sum(dtype=int) * 8, rel=0.05
    )


def test_preprocessed_scans_with_negative_values(real: Path) -> None:
    folder = real / "tcga-fg-6692"
    images = {
        name: next((folder / "raw_bet").glob(f"*_{key}_bet.nii.gz"))
        for name, key in (("t1c", "t1c"), ("t2", "t2"))
    }
    case = Case("6692", "6692", images, folder / "fusion" / "mav.nii.gz")
    prepared = prepare(case, Recipe(("t1c", "t2"), PreprocessingSpec(), LabelRule({1: 1, 2: 2, 4: 3})))
    assert prepared.label is not None and prepared.reference is not None
    assert np.bincount(prepared.label.ravel())[1:].tolist() == np.bincount(prepared.reference.ravel())[1:].tolist()
    assert prepared.mask.sum() == 1_601_535
