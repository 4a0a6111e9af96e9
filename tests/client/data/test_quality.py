"""Every fault of a file has its own reason, through the same call that training makes."""

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from client.data.case import Case, LabelRule, Quarantined
from client.data.preprocessing import Recipe, prepare
from client.data.quality import bad_count, bad_share, classes_of, counts_by_reason
from common.errors import CaseReason, CaseRejected
from common.plan import PreprocessingSpec
from tests.client.data.heads import SHAPE, SPACING_MM, head, lesion, write_case
from tests.nifti import oriented_affine, write_nifti

Fault = Callable[[Case], object]
RAS = oriented_affine("RAS", SPACING_MM, SHAPE)
SPEC = PreprocessingSpec(spacing_mm=SPACING_MM)
RULE = LabelRule({1: 1})
FAR = RAS + np.array([[0, 0, 0, 500.0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def t1c(case: Case, array: object, affine: object = RAS) -> None:
    write_nifti(case.sequences["t1c"], np.asarray(array), np.asarray(affine))


def one_nan(case: Case) -> None:
    values = head(1)
    values[3, 3, 3] = np.nan
    t1c(case, values)


def cut_short(case: Case) -> None:
    path = case.sequences["t1c"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_checksum(case: Case) -> None:
    path = case.sequences["t1c"]
    path.write_bytes(path.read_bytes()[:-4])


def uncompressed_and_short(case: Case) -> None:
    path = case.sequences["t1c"]
    path.write_bytes(gzip.decompress(path.read_bytes())[:-1000])


def flipped_byte(case: Case) -> None:
    path = case.sequences["t1c"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def spacing(*edges_mm: float) -> Fault:
    return lambda case: t1c(case, head(1), np.diag([*edges_mm, 1.0]))


def singular_affine(case: Case) -> None:
    path = case.sequences["t1c"]
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[296:312] = bytes(16)  # srow_y of the NIfTI-1 header
    path.write_bytes(gzip.compress(bytes(data)))


def header_spacing_of_another_scan(case: Case) -> None:
    image = nib.Nifti1Image(head(1), RAS)
    image.header.set_zooms((8.0, 8.0, 8.0))
    nib.save(image, case.sequences["t1c"])


def noise_everywhere(case: Case) -> None:
    for path in case.sequences.values():
        write_nifti(path, np.random.default_rng(3).normal(50.0, 5.0, SHAPE).astype(np.float32), RAS)


def label(values: object, affine: object = RAS) -> Fault:
    return lambda case: write_nifti(case.label or Path(), np.asarray(values), np.asarray(affine))


FAULTS: dict[str, tuple[CaseReason, Fault]] = {
    "no file": (CaseReason.MISSING_SEQUENCE, lambda case: case.sequences["flair"].unlink()),
    "no label": (CaseReason.MISSING_LABEL, lambda case: (case.label or Path()).unlink()),
    "all zero": (CaseReason.EMPTY_VOLUME, lambda case: t1c(case, np.zeros(SHAPE, np.float32))),
    "one NaN": (CaseReason.NOT_FINITE, one_nan),
    "beyond float32": (CaseReason.NOT_FINITE, lambda case: t1c(case, head(1).astype(np.float64) * 1e38)),
    "one value": (CaseReason.CONSTANT_IMAGE, lambda case: t1c(case, np.full(SHAPE, 7, np.int16))),
    "one value in the brain": (
        CaseReason.CONSTANT_IMAGE,
        lambda case: t1c(case, (head(1) != 0).astype(np.float32)),
    ),
    "half a gzip": (CaseReason.TRUNCATED_FILE, cut_short),
    "gzip without its end": (CaseReason.TRUNCATED_FILE, without_checksum),
    "short and uncompressed": (CaseReason.TRUNCATED_FILE, uncompressed_and_short),
    "0 bytes": (CaseReason.ZERO_BYTE_FILE, lambda case: case.sequences["t1c"].write_bytes(b"")),
    "text": (CaseReason.UNREADABLE_FILE, lambda case: case.sequences["t1c"].write_bytes(b"no image" * 100)),
    "damaged gzip": (CaseReason.UNREADABLE_FILE, flipped_byte),
    "4-D": (CaseReason.NOT_3D, lambda case: t1c(case, np.stack([head(1)] * 2, axis=-1))),
    "one slice": (CaseReason.NOT_3D, lambda case: t1c(case, head(1)[:, :, :1])),
    "50 mm slices": (CaseReason.ABSURD_SPACING, spacing(1.0, 1.0, 50.0)),
    "0.01 mm": (CaseReason.ABSURD_SPACING, spacing(0.01, 1.0, 1.0)),
    "0 mm": (CaseReason.ABSURD_SPACING, singular_affine),
    "header disagrees": (CaseReason.ABSURD_SPACING, header_spacing_of_another_scan),
    "label value 2": (CaseReason.ILLEGAL_LABEL, label(lesion() * 2)),
    "label value -1": (CaseReason.ILLEGAL_LABEL, label(-lesion().astype(np.int16))),
    "label value 0.5": (CaseReason.ILLEGAL_LABEL, label(lesion() * np.float32(0.5))),
    "label elsewhere": (CaseReason.LABEL_MISMATCH, label(lesion(), FAR)),
    "flair elsewhere": (
        CaseReason.SEQUENCE_MISMATCH,
        lambda case: write_nifti(case.sequences["flair"], head(2), FAR),
    ),
    "skull": (CaseReason.NO_BRAIN_MASK, noise_everywhere),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_reason(name: str, tmp_path: Path) -> None:
    reason, make = FAULTS[name]
    case = write_case(tmp_path / "p1")
    make(case)
    with pytest.raises(CaseRejected) as caught:
        prepare(case, Recipe(("t1c", "flair"), SPEC, RULE))
    assert caught.value.reason is reason
    assert caught.value.case == "p1"
    assert "\n" not in str(caught.value)


def test_case_that_never_had_what_the_plan_needs(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    with pytest.raises(CaseRejected, match=r"no t2; the case has \['flair', 't1c'\]") as caught:
        prepare(case, Recipe(("t1c", "t2"), SPEC, RULE))
    assert caught.value.reason is CaseReason.MISSING_SEQUENCE
    with pytest.raises(CaseRejected) as caught:
        prepare(dataclasses.replace(case, label=None), Recipe(("t1c",), SPEC, RULE))
    assert caught.value.reason is CaseReason.MISSING_LABEL


def test_fourth_axis_of_length_one_is_a_volume(tmp_path: Path) -> None:
    case = write_case(tmp_path / "p1")
    before = prepare(case, Recipe(("t1c",), SPEC, RULE))
    t1c(case, head(1)[..., None])
    after = prepare(case, Recipe(("t1c",), SPEC, RULE))
    assert after.image.tobytes() == before.image.tobytes()


def test_label_values_follow_the_map_and_nothing_else() -> None:
    values = np.array([0, 1, 2, 3, 4], dtype=np.float32) + np.float32(5e-4)
    rule = LabelRule({1: 1, 3: 1, 4: 2}, frozenset({2}))
    assert classes_of(values, rule, "p", Path("seg")).tolist() == [0, 1, 0, 1, 2]
    with pytest.raises(CaseRejected, match=r"values \[4\]; legal are \[0, 1, 2, 3\]"):
        classes_of(values, LabelRule({1: 1, 3: 1}, frozenset({2})), "p", Path("seg"))


def test_excluded_cases_are_counted_and_not_bad() -> None:
    reasons = [CaseReason.NOT_3D, CaseReason.EXCLUDED, CaseReason.EXCLUDED, CaseReason.NOT_3D]
    counts = counts_by_reason(Quarantined("p", f"e{i}", reason, "") for i, reason in enumerate(reasons))
    assert counts == {"excluded-by-dataset": 2, "not-3d": 2}
    assert bad_count(counts) == 2
    assert bad_share(counts, usable=38) == 0.05
    assert bad_share({}, usable=0) == 0.0
