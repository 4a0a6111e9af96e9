from pathlib import Path

import numpy as np
import pytest

from client.data.case import Case, Quarantined
from client.data.fingerprint import case_fingerprint
from client.data.preprocessing import Recipe
from common.errors import CaseReason
from common.plan import PreprocessingSpec
from tests.nifti import oriented_affine, write_nifti

RECIPE = Recipe(("t1c", "flair"), PreprocessingSpec(spacing_mm=(4.0, 4.0, 4.0)), None)
SHAPE, BRAIN = (16, 20, 30), (slice(3, 11), slice(4, 16), slice(5, 25))  # 8 x 12 x 20 of 9600 voxels


def _case(folder: Path, codes: str = "RAS", sequences: tuple[str, ...] = ("t1c", "flair")) -> Case:
    spacing_mm = (1.5, 0.8, 0.9)
    random = np.random.default_rng(5)
    files = {}
    for index, name in enumerate(sequences, start=1):
        image = np.zeros(SHAPE, dtype=np.float32)
        image[BRAIN] = 100.0 * index + random.normal(0.0, 10.0, size=image[BRAIN].shape)
        files[name] = write_nifti(folder / f"{name}.nii.gz", image, oriented_affine(codes, spacing_mm, SHAPE))
    return Case(patient="p1", exam="p1A", sequences=files)


def test_box_spacing_and_intensities_of_the_brain(tmp_path: Path) -> None:
    row = case_fingerprint(_case(tmp_path), RECIPE)
    assert not isinstance(row, Quarantined)
    assert row.shape == (8, 12, 20)
    assert row.spacing_mm == pytest.approx((1.5, 0.8, 0.9))
    assert row.cropped_share == pytest.approx(8 * 12 * 20 / 9600)
    assert row.intensities["t1c"].mean == pytest.approx(100.0, abs=1.0)
    assert row.intensities["flair"].mean == pytest.approx(200.0, abs=1.0)
    assert row.intensities["flair"].sd == pytest.approx(10.0, abs=0.5)
    assert row.intensities["t1c"].p005 == pytest.approx(100.0 - 25.8, abs=3.0)


def test_axes_are_right_anterior_superior_whatever_the_file_says(tmp_path: Path) -> None:
    row = case_fingerprint(_case(tmp_path, "SPR"), RECIPE)  # the file's axes are z, y, x
    assert not isinstance(row, Quarantined)
    assert row.shape == (20, 12, 8)
    assert row.spacing_mm == pytest.approx((0.9, 0.8, 1.5))


def test_what_training_would_put_aside_is_put_aside(tmp_path: Path) -> None:
    lacking = case_fingerprint(_case(tmp_path, sequences=("flair",)), RECIPE)
    assert isinstance(lacking, Quarantined)
    assert lacking.reason is CaseReason.MISSING_SEQUENCE
    whole = _case(tmp_path)
    whole.sequences["t1c"].write_bytes(b"")
    empty = case_fingerprint(whole, RECIPE)
    assert isinstance(empty, Quarantined)
    assert empty.reason is CaseReason.ZERO_BYTE_FILE
