"""UCSF-BMSR: a tree and a spreadsheet written by hand after the published layout."""

import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from openpyxl.styles import PatternFill

from client.data.adapters.build import list_cases
from client.data.adapters.subject_table import read_subjects
from client.data.case import Listing, Metadata
from client.data.quality import bad_share, counts_by_reason
from common.config import DataSection
from common.errors import CaseReason, DataError
from tests.nifti import write_nifti

IMAGES = ("T1pre", "T1post", "FLAIR", "subtraction", "T2Synth")
HEADER = [
    "SubjectID",
    "Sex",
    "Age",
    "CancerType",
    "Scanner Strength (Tesla)",
    "Prior Craniotomy/Biopsy/Resection",
    "BraTS_ID",
]
ROWS: list[list[object]] = [
    ["100101A", "F", 61, "Breast", 1.5, "No", "BraTS-MET-00101-000"],
    ["100101B", "F", 62, "Breast", 3, "Yes", None],
    ["100202C", "M", "90+", "Lung", "3T", "No", "BraTS-MET-00102-000"],
    ["100303A", "M", None, "Melanoma", None, "No", "BraTS-MET-00103-000"],
]


def write_exam(train: Path, exam: str, *names: str) -> None:
    for name in names:
        write_nifti(
            train / exam / f"{exam}_{name}.nii.gz", np.zeros((4, 4, 3), np.uint8), np.diag([0.86, 0.86, 1.5, 1])
        )


def write_table(path: Path, rows: list[list[object]]) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.title = "About"  # type: ignore[union-attr]
    sheet = workbook.create_sheet("RENAMED")
    sheet.append(HEADER)
    for row in rows:
        sheet.append(row)
    for blank in range(len(rows) + 2, len(rows) + 2 + 99):  # formatted, and nothing in them
        for column in range(1, len(HEADER) + 1):
            sheet.cell(blank, column).fill = PatternFill("solid", fgColor="FFFFFF")
    workbook.save(path)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    root = tmp_path / "UCSF_BrainMetastases_v1.3"
    train = root / "UCSF_BrainMetastases_TRAIN"
    write_exam(train, "100101A", *IMAGES, "seg", "BraTS-seg")
    write_exam(train, "100101B", *IMAGES, "seg")
    write_exam(train, "100202C", "T1pre", "T1post", "FLAIR", "seg", "BRaTS-seg")
    write_exam(train, "100303A", *IMAGES, "seg")  # its BraTS_ID promises a label that is not there
    write_exam(train, "100363B", *IMAGES, "seg", "BraTS-seg")
    (train / "notes").mkdir()
    write_table(root / "TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx", ROWS)
    return root


def listing(root: Path, **options: str) -> Listing:
    return list_cases(DataSection.model_validate({"adapter": "ucsf_bmsr", "root": root, **options}))


def test_binary_set(release: Path) -> None:
    found = listing(release)
    assert [(case.exam, case.patient) for case in found.cases] == [
        ("100101A", "100101"),
        ("100101B", "100101"),
        ("100202C", "100202"),
        ("100303A", "100303"),
    ]
    first, _, third, _ = found.cases
    files = {name: path.name for name, path in first.sequences.items()}
    assert files == {
        "t1": "100101A_T1pre.nii.gz",
        "t1c": "100101A_T1post.nii.gz",
        "t2": "100101A_T2Synth.nii.gz",
        "flair": "100101A_FLAIR.nii.gz",
        "subtraction": "100101A_subtraction.nii.gz",
    }
    assert first.label is not None and first.label.name == "100101A_seg.nii.gz"
    assert set(third.sequences) == {"t1", "t1c", "flair"}
    assert first.spacing_mm == pytest.approx((0.86, 0.86, 1.5))
    assert [(entry.exam, entry.reason) for entry in found.quarantined] == [("100363B", CaseReason.EXCLUDED)]
    assert bad_share(counts_by_reason(found.quarantined), len(found.cases)) == 0.0


def test_three_class_set(release: Path) -> None:
    found = listing(release, labels="three_class")
    labels = {case.exam: case.label.name if case.label else None for case in found.cases}
    assert labels == {
        "100101A": "100101A_BraTS-seg.nii.gz",
        "100202C": "100202C_BRaTS-seg.nii.gz",
        "100303A": None,
    }
    reasons = [(entry.exam, entry.reason) for entry in found.quarantined]
    assert reasons == [("100101B", CaseReason.EXCLUDED), ("100363B", CaseReason.EXCLUDED)]


def test_table_with_blank_rows(release: Path) -> None:
    metadata = [case.metadata for case in listing(release).cases]
    assert metadata == [
        Metadata(61.0, "F", "Breast", 1.5),
        Metadata(62.0, "F", "Breast", 3.0),
        Metadata(90.0, "M", "Lung", 3.0),
        Metadata(None, "M", "Melanoma", None),
    ]


def test_root_may_be_the_train_folder_or_the_one_above(release: Path) -> None:
    train = listing(release / "UCSF_BrainMetastases_TRAIN")
    above = listing(release.parent)
    assert [case.exam for case in train.cases] == [case.exam for case in above.cases]
    assert train.cases[0].metadata == Metadata()  # the table lies outside that root
    assert above.cases[0].metadata.primary_cancer == "Breast"


def test_both_spellings_at_once_are_ambiguous(release: Path) -> None:
    write_exam(release / "UCSF_BrainMetastases_TRAIN", "100101A", "BRaTS-seg")
    found = listing(release, labels="three_class")
    assert ("100101A", CaseReason.AMBIGUOUS_FILE) in [(entry.exam, entry.reason) for entry in found.quarantined]


def test_missing_table_is_no_fault_and_a_damaged_one_is(release: Path) -> None:
    table = release / "TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx"
    table.write_bytes(b"PK not a workbook")
    with pytest.raises(DataError, match=r"SubjectInfo\.xlsx: cannot be read as a table"):
        listing(release)
    write_table(table, [ROWS[0], ROWS[0]])
    with pytest.raises(DataError, match="100101A stands in two rows"):
        listing(release)
    table.unlink()
    assert {case.metadata for case in listing(release).cases} == {Metadata()}


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/styles.xml", "[Content_Types].xml"])
def test_table_cut_off_within_is_one_line(part: str, release: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.xlsx"
    with zipfile.ZipFile(next(release.rglob("*.xlsx"))) as whole, zipfile.ZipFile(damaged, "w") as cut:
        for name in whole.namelist():
            data = whole.read(name)
            cut.writestr(name, data[: len(data) // 2] if name == part else data)
    with pytest.raises(DataError, match=r"damaged.xlsx: cannot be read as a table"):
        read_subjects(damaged)


def test_folder_without_exams(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DataError, match="no folder named like 100101A"):
        listing(tmp_path)
