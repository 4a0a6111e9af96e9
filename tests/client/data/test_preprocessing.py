"""What preparation makes of a sound case: orientation, brain, crop, scores' reference, determinism."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.orientations import aff2axcodes

from client.data import brain_mask
from client.data.brain_mask import own_background, stripped_mask
from client.data.case import Case, Grid, LabelRule, PreparedCase
from client.data.geometry import to_native
from client.data.preprocessing import Recipe, prepare
from common.errors import CaseReason, CaseRejected, ConfigError
from common.plan import PreprocessingSpec
from tests.client.data.heads import SHAPE, SPACING_MM, brain, head, lesion, write_case
from tests.nifti import oriented_affine, write_nifti

SPEC = PreprocessingSpec(spacing_mm=SPACING_MM, crop_margin_mm=4.0)
RULE = LabelRule({1: 1})
STRIPPER = """
import sys, nibabel as nib, numpy as np
image = nib.load(sys.argv[1])
nib.save(nib.Nifti1Image((np.asarray(image.dataobj) > 60).astype("uint8"), image.affine), sys.argv[2])
"""


def prepared(case: Case, spec: PreprocessingSpec = SPEC, rule: LabelRule | None = RULE) -> PreparedCase:
    return prepare(case, Recipe(("t1c", "flair"), spec, rule))


def centre_mm(label: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], grid: Grid) -> list[float]:
    return [float(value) for value in apply_affine(grid.affine, np.argwhere(label)).mean(axis=0)]


def test_a_stripped_case(tmp_path: Path) -> None:
    case = prepared(write_case(tmp_path / "p1"))
    # the brain spans 20 x 24 x 16 voxels, the margin adds one on either side
    assert case.image.shape == (2, 22, 26, 18)
    assert case.image.dtype == np.float32 and case.mask.dtype == np.uint8 and case.reference is not None
    assert case.mask.sum() == brain().sum()
    inside = case.image[:, case.mask == 1].astype(np.float64)
    assert np.allclose(inside.mean(axis=1), 0.0, atol=1e-6)
    assert np.allclose(inside.std(axis=1), 1.0, atol=1e-6)
    assert not case.image[:, case.mask == 0].any()
    assert case.lesion_voxels.shape == (36, 3) and case.lesion_voxels.dtype == np.int32
    assert np.array_equal(case.reference, lesion())


@pytest.mark.parametrize("codes", ["LPS", "LAS", "PIR"])
def test_orientation_of_the_files_moves_nothing(codes: str, tmp_path: Path) -> None:
    case = prepared(write_case(tmp_path / "p1", codes))
    assert "".join(aff2axcodes(case.grid.affine)) == "RAS"
    assert "".join(aff2axcodes(case.native.affine)) == codes
    assert case.label is not None and case.reference is not None
    assert centre_mm(case.label, case.grid) == pytest.approx(centre_mm(lesion(), case.native), abs=1e-6)
    assert np.array_equal(to_native(case.label, case.grid, case.native), case.reference)


def test_same_bytes_twice(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1", "LPS")
    spec = PreprocessingSpec(spacing_mm=(3.0, 5.0, 6.5))
    first, second = prepared(case, spec), prepared(case, spec)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.lesion_voxels.tobytes() == second.lesion_voxels.tobytes()
    assert first.grid.spacing_mm == pytest.approx((3.0, 5.0, 6.5))


def test_inference_reads_no_label(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    (case.label or Path()).write_bytes(b"")
    result = prepared(case, rule=None)
    assert result.label is None and result.reference is None
    assert result.lesion_voxels.shape == (0, 3)


def test_files_on_other_grids_are_resampled(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    expected = prepared(case)
    shape, fine = (48, 56, 40), oriented_affine("LPS", (2.0, 2.0, 2.0), (48, 56, 40))
    doubled = lesion().repeat(2, 0).repeat(2, 1).repeat(2, 2)[::-1, ::-1]
    write_nifti(case.label or Path(), doubled, fine)
    write_nifti(case.sequences["flair"], head(5, shape), fine)
    result = prepared(case)
    assert result.label is not None and expected.label is not None
    assert np.array_equal(result.label, expected.label)
    assert result.reference is not None and np.array_equal(result.reference, lesion())
    assert np.array_equal(result.image[0], expected.image[0])
    assert result.native.shape == SHAPE


def test_label_header_a_fraction_of_a_voxel_off_is_the_same_grid(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    affine = oriented_affine("RAS", SPACING_MM, SHAPE)
    affine[:3, 3] += 1.1  # 1.9 mm off in all, under half of 4 mm
    write_nifti(case.label or Path(), lesion(), affine)
    reference = prepared(case).reference
    assert reference is not None and np.array_equal(reference, lesion())


def test_part_that_a_sequence_does_not_cover_is_its_mean(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    affine = oriented_affine("RAS", SPACING_MM, SHAPE)
    write_nifti(case.sequences["flair"], head(2)[:, :, :12] + 1.0, affine)
    result = prepared(case)
    assert not result.image[1, :, :, 12:].any()
    covered = result.image[1, :, :, :11][result.mask[:, :, :11] == 1]
    assert covered.mean(dtype=np.float64) == pytest.approx(0.0, abs=1e-6)


def test_given_mask_of_almost_ones_is_not_emptied(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    small = brain(radius=0.3)
    affine = oriented_affine("RAS", SPACING_MM, SHAPE)
    path = write_nifti(tmp_path / "p1" / "mask.nii.gz", small * 0.9999999701976776, affine)
    assert prepared(dataclasses.replace(case, brain_mask=path)).mask.sum() == small.sum()
    write_nifti(path, small * 0.0, affine)
    with pytest.raises(CaseRejected, match="mask is empty") as caught:
        prepared(dataclasses.replace(case, brain_mask=path))
    assert caught.value.reason is CaseReason.NO_BRAIN_MASK


def test_stripped_image_whose_background_is_not_zero(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    expected = prepared(case)
    affine = oriented_affine("RAS", SPACING_MM, SHAPE)
    for seed, path in enumerate(case.sequences.values(), start=1):
        write_nifti(path, (head(seed) - 90.0) / 20.0, affine)
    shifted = prepared(case)
    assert np.array_equal(shifted.mask, expected.mask)
    assert np.abs(shifted.image - expected.image).max() < 1e-4


def test_zeros_inside_the_brain_belong_to_it() -> None:
    values = head(1)
    values[11:13, 13:15, 9:11] = 0.0
    grid = Grid(SHAPE, np.diag([*SPACING_MM, 1.0]))
    assert own_background(values) == 0.0
    mask = stripped_mask(values != 0, grid)
    assert mask is not None and np.array_equal(mask, brain())


def test_a_whole_head_on_zeros_is_not_stripped() -> None:
    values = head(1)
    assert stripped_mask(values != 0, Grid(SHAPE, np.diag([9.0, 9.0, 9.0, 1.0]))) is None  # 3 litres


def test_external_skull_stripper(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    expected = prepared(case)
    noise = np.random.default_rng(5).uniform(1.0, 9.0, SHAPE).astype(np.float32)  # a skull: no zero background
    affine = oriented_affine("RAS", SPACING_MM, SHAPE)
    for seed, path in enumerate(case.sequences.values(), start=1):
        write_nifti(path, np.where(brain(), np.maximum(head(seed), 61.0), noise), affine)
    command = (sys.executable, "-c", STRIPPER, "{image}", "{mask}")
    result = prepare(case, Recipe(("t1c",), SPEC, RULE, command))
    assert np.array_equal(result.mask, expected.mask)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("no-such-stripper", "{image}", "{mask}"), "cannot start no-such-stripper"),
        ((sys.executable, "-c", "import sys; sys.exit('out of memory')", "{image}", "{mask}"), "out of memory"),
        ((sys.executable, "-c", "pass", "{image}", "{mask}"), "wrote no mask"),
    ],
)
def test_skull_stripper_that_fails(command: tuple[str, ...], message: str, tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    noise = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    write_nifti(case.sequences["t1c"], noise, oriented_affine("RAS", SPACING_MM, SHAPE))
    with pytest.raises(CaseRejected, match=message) as caught:
        prepare(case, Recipe(("t1c",), SPEC, RULE, command))
    assert caught.value.reason is CaseReason.NO_BRAIN_MASK


@pytest.mark.parametrize("end", ["wait", "exit"])
def test_skull_stripper_past_its_deadline_ends_with_all_it_started(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell writes its child's process id, and waits for it or leaves it behind; the child outlives both."""
    monkeypatch.setattr(brain_mask, "MASK_COMMAND_DEADLINE_S", 0.5)
    child = tmp_path / "child"
    script = f"sleep 60 & echo $! > {child}; {end} # {{image}} {{mask}}"
    with pytest.raises(CaseRejected, match=r"took over 0\.5 s and was stopped"):
        brain_mask.mask_by_command(("sh", "-c", script), tmp_path / "t1c.nii.gz", "p1")
    state = Path(f"/proc/{child.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_skull_stripper_needs_both_placeholders(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    noise = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    write_nifti(case.sequences["t1c"], noise, oriented_affine("RAS", SPACING_MM, SHAPE))
    with pytest.raises(ConfigError, match=r"both \{image\} and \{mask\}"):
        prepare(case, Recipe(("t1c",), SPEC, RULE, ("strip", "{image}")))
