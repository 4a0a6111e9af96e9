"""One case through the segment tool: the mask on the input's own grid, the lesion where it is in the scanner."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from client.data.case import Case
from client.data.preprocessing import Recipe, prepare
from client.prediction import native_probabilities, probability_to_mask
from client.segmentation import segment
from common.model.build import build_model
from common.model.weights import weights_of
from common.release import Release, open_release
from tests.client.segmentation_case import (
    LESION_MM,
    LESION_MM3,
    LESION_RADIUS_MM,
    PLAN,
    scan,
    threshold_network,
    write_trick_release,
)

CPU = torch.device("cpu")
GEOMETRY = ("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "xyzt_units", "srow_x")
SCANS = [
    pytest.param("RAS", (2.0, 2.0, 2.0), 0.0, id="RAS"),
    pytest.param("LPS", (2.0, 2.0, 2.0), 0.0, id="LPS"),
    pytest.param("LAS", (1.5, 1.5, 5.5), 0.0, id="LAS-5.5mm-slices"),
    pytest.param("PIR", (1.6, 1.6, 3.3), 0.0, id="PIR"),
    pytest.param("LPS", (1.5, 1.5, 3.0), 22.0, id="oblique"),
]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setattr("common.model.weights.new_network", threshold_network)
    return open_release(write_trick_release(tmp_path / "model"))


@pytest.mark.parametrize(("codes", "spacing_mm", "rotation_degrees"), SCANS)
def test_lesion_lies_where_it_is_in_the_scanner(
    release: Release,
    tmp_path: Path,
    codes: str,
    spacing_mm: tuple[float, float, float],
    rotation_degrees: float,
) -> None:
    t1c = scan(tmp_path / "t1c.nii.gz", codes, spacing_mm, rotation_degrees)
    flair = scan(tmp_path / "flair.nii.gz", "LAS", (2.0, 2.0, 4.0))
    out, report = tmp_path / "mask.nii.gz", tmp_path / "lesions.csv"
    summary = segment(release, {"flair": flair, "t1c": t1c}, out, report=report, device=CPU)

    source, mask = nib.load(t1c), nib.load(out)
    assert mask.shape == source.shape
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, source.affine)

    values = np.asarray(mask.dataobj)
    centre = nib.affines.apply_affine(mask.affine, np.argwhere(values == 1).mean(axis=0))
    off_mm = np.abs(np.linalg.inv(source.affine[:3, :3]) @ (centre - LESION_MM)) * spacing_mm
    assert (off_mm < 1.0).all()
    volume_mm3 = np.count_nonzero(values) * np.prod(spacing_mm)
    assert volume_mm3 == pytest.approx(LESION_MM3, rel=0.2)

    (row,) = csv.DictReader(report.read_text().splitlines())
    assert [float(row[f"centre_{axis}_mm"]) for axis in "xyz"] == pytest.approx(centre.tolist(), abs=0.01)
    assert float(row["volume_mm3"]) == pytest.approx(volume_mm3, rel=1e-3)
    assert float(row["longest_diameter_mm"]) == pytest.approx(2 * LESION_RADIUS_MM, abs=max(spacing_mm) + 0.5)
    assert row["label"] == "tumour"
    assert summary.total_volume_mm3 == pytest.approx(volume_mm3, rel=1e-3)


def test_mask_keeps_header_codes_and_units_but_no_text(release: Release, tmp_path: Path) -> None:
    t1c = scan(tmp_path / "t1c.nii.gz", "LPS", (2.0, 2.0, 3.0), rotation_degrees=10.0)
    image = nib.load(t1c)
    image.set_sform(image.affine, code="talairach")
    image.set_qform(image.affine, code="aligned")
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"DOE^JANE 1955"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JANE"))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), t1c)
    segment(
        release,
        {"t1c": t1c, "flair": t1c.with_name("flair.nii.gz")} | _flair(tmp_path),
        tmp_path / "m.nii",
        device=CPU,
    )

    source, mask = nib.load(t1c).header, nib.load(tmp_path / "m.nii").header
    assert (int(mask["sform_code"]), int(mask["qform_code"])) == (3, 2)
    for field in GEOMETRY:
        np.testing.assert_array_equal(mask[field], source[field])
    assert b"DOE" not in (tmp_path / "m.nii").read_bytes()


def test_probability_map_is_float32_and_agrees_with_the_mask(release: Release, tmp_path: Path) -> None:
    images = {"t1c": scan(tmp_path / "t1c.nii.gz")} | _flair(tmp_path)
    segment(release, images, tmp_path / "m.nii.gz", probability=tmp_path / "p.nii.gz", device=CPU)
    probability, mask = nib.load(tmp_path / "p.nii.gz"), nib.load(tmp_path / "m.nii.gz")
    assert probability.get_data_dtype() == np.float32
    values = np.asarray(probability.dataobj)
    np.testing.assert_array_equal(values >= PLAN.evaluation.threshold, np.asarray(mask.dataobj) == 1)
    assert values.max() > 0.9
    assert values.min() == 0.0


def test_brain_mask_opens_images_with_a_skull(release: Release, tmp_path: Path) -> None:
    images = {
        "t1c": scan(tmp_path / "t1c.nii.gz", skull=True),
        "flair": scan(tmp_path / "flair.nii.gz", skull=True),
    }
    stripped = nib.load(scan(tmp_path / "stripped.nii.gz"))
    nib.save(
        nib.Nifti1Image((stripped.get_fdata() > 0).astype(np.uint8), stripped.affine), tmp_path / "brain.nii.gz"
    )
    summary = segment(release, images, tmp_path / "m.nii.gz", brain_mask=tmp_path / "brain.nii.gz", device=CPU)
    assert [lesion.volume_mm3 for lesion in summary.lesions] == pytest.approx([LESION_MM3], rel=0.2)


def test_result_is_the_same_to_the_byte(release: Release, tmp_path: Path) -> None:
    images = {"t1c": scan(tmp_path / "t1c.nii.gz")} | _flair(tmp_path)
    for name in ("first.nii.gz", "second.nii.gz"):
        segment(release, images, tmp_path / name, device=CPU)
    assert (tmp_path / "first.nii.gz").read_bytes() == (tmp_path / "second.nii.gz").read_bytes()


def test_the_plans_network_gets_the_releases_weights_and_the_plans_order(tmp_path: Path) -> None:
    network = build_model(PLAN.model, PLAN.in_channels, PLAN.out_channels, seed=PLAN.seed + 1)
    weights = weights_of(network)
    release = Release(PLAN, weights, {}, weights.sha256(), 1)
    images = _flair(tmp_path) | {"t1c": scan(tmp_path / "t1c.nii.gz", "LPS")}
    segment(release, images, tmp_path / "m.nii.gz", probability=tmp_path / "p.nii.gz", device=CPU)
    case = prepare(Case("p", "p", images), Recipe(PLAN.sequences, PLAN.preprocessing, rule=None))
    (expected,) = native_probabilities(network, case, PLAN, CPU)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "p.nii.gz").dataobj), expected)


def test_probability_to_mask_by_hand() -> None:
    first = np.array([0.2, 0.5, 0.6, 0.6, 0.1], np.float32)
    second = np.array([0.1, 0.4, 0.6, 0.7, np.nan], np.float32)
    probabilities = np.stack([first, second]).reshape(2, 5, 1, 1)
    mask = probability_to_mask(probabilities, 0.5)
    assert mask.dtype == np.uint8
    assert mask.ravel().tolist() == [0, 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("classes", "threshold", "expected"),
    [
        ((0.35, 0.35), 0.5, 1),  # background 0.3
        ((0.3, 0.3), 0.5, 0),  # background 0.4
        ((0.1, 0.25, 0.45), 0.5, 3),
        ((0.45, 0.45), 0.8, 1),  # 0.45 of 0.55 is 0.82
        ((0.4, 0.4), 0.8, 0),  # 0.4 of 0.6 is 0.67
    ],
)
def test_a_class_is_held_against_background_and_not_against_other_classes(
    classes: tuple[float, ...], threshold: float, expected: int
) -> None:
    probabilities = np.array(classes, np.float32).reshape(-1, 1, 1, 1)
    assert probability_to_mask(probabilities, threshold).item() == expected


def test_at_a_half_the_likeliest_of_all_wins_and_one_class_is_compared_itself() -> None:
    rng = np.random.default_rng(0)
    several = rng.dirichlet(np.ones(4), size=(9, 8, 7)).astype(np.float32).transpose(3, 0, 1, 2)
    np.testing.assert_array_equal(probability_to_mask(several[1:], 0.5), several.argmax(axis=0))
    one = rng.random((1, 9, 8, 7), np.float32)
    for threshold in (0.1, 0.3, 0.5, 0.7):
        np.testing.assert_array_equal(probability_to_mask(one, threshold), one[0] >= threshold)


def _flair(folder: Path) -> dict[str, Path]:
    return {"flair": scan(folder / "flair.nii.gz", "LAS", (2.0, 2.0, 4.0))}
