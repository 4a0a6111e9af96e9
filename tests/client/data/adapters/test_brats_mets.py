"""BraTS-METS: the trees of 2023 and 2025."""

from pathlib import Path

import numpy as np
import pytest

from client.data.adapters.build import label_rule, list_cases
from client.data.case import Listing
from common.config import DataSection
from common.errors import CaseReason, DataError
from tests.nifti import write_nifti

FILES = ("t1n", "t1c", "t2w", "t2f", "seg")
CLASSES = ("netc", "snfh", "et")


def write_exam(part: Path, exam: str, *names: str, spacing_mm: float = 1.0) -> None:
    for name in names or FILES:
        path = part / exam / f"{exam}-{name}.nii.gz"
        write_nifti(path, np.zeros((4, 4, 3), np.uint8), np.diag([spacing_mm, spacing_mm, 3.0, 1.0]))


def section(root: Path) -> DataSection:
    return DataSection(adapter="brats_mets", root=root)


def reasons(found: Listing) -> dict[str, CaseReason]:
    return {entry.exam: entry.reason for entry in found.quarantined}


@pytest.fixture
def of_2023(tmp_path: Path) -> Path:
    main = tmp_path / "ASNR-MICCAI-BraTS2023-MET-Challenge-TrainingData"
    write_exam(main, "BraTS-MET-00025-000")
    write_exam(main, "BraTS-MET-00025-001")
    write_exam(tmp_path / f"{main.name}_Additional", "BraTS-MET-00199-000", "t1c", "t2f", "seg")
    write_exam(tmp_path / "ASNR-MICCAI-BraTS2023-MET-Challenge-ValidationData", "BraTS-MET-00300-000", *FILES[:4])
    return tmp_path


@pytest.fixture
def of_2025(tmp_path: Path) -> Path:
    main = tmp_path / "MICCAI-LH-BraTS2025-MET-Challenge-Training"
    write_exam(main, "BraTS-MET-00025-000")
    write_exam(main, "BraTS-MET-00026-000")
    write_exam(main / "UCSD - Training", "BraTS-MET-01001-002", spacing_mm=0.28)
    fixed = tmp_path / "MICCAI-LH-BraTS2025-MET-Challenge-corrected-labels"
    write_nifti(fixed / "BraTS-MET-00026-000-seg.nii.gz", np.ones((4, 4, 3), np.uint8))
    return tmp_path


def test_release_of_2023(of_2023: Path) -> None:
    found = list_cases(section(of_2023))
    assert [(case.patient, case.exam) for case in found.cases] == [
        ("BraTS-MET-00025", "BraTS-MET-00025-000"),
        ("BraTS-MET-00025", "BraTS-MET-00025-001"),
        ("BraTS-MET-00199", "BraTS-MET-00199-000"),
    ]
    assert set(found.cases[0].sequences) == {"t1", "t1c", "t2", "flair"}
    assert found.cases[0].sequences["flair"].name == "BraTS-MET-00025-000-t2f.nii.gz"
    assert set(found.cases[2].sequences) == {"t1c", "flair"}
    assert reasons(found) == {"BraTS-MET-00300-000": CaseReason.EXCLUDED}
    assert dict(label_rule(section(of_2023), CLASSES).mapping) == {1: 1, 2: 2, 3: 3}


def test_release_of_2025(of_2025: Path) -> None:
    found = list_cases(section(of_2025))
    own, corrected, ucsd = found.cases
    assert found.quarantined == ()
    assert own.label is not None and own.label.parent.name == "BraTS-MET-00025-000"
    assert corrected.label is not None and "corrected-labels" in corrected.label.parent.name
    assert (ucsd.patient, ucsd.exam) == ("BraTS-MET-01001", "BraTS-MET-01001-002")
    assert ucsd.spacing_mm == pytest.approx((0.28, 0.28, 3.0))
    assert dict(label_rule(section(of_2025), (*CLASSES, "rc")).mapping) == {1: 1, 2: 2, 3: 3, 4: 4}


def test_resection_cavity_is_legal_in_a_part_of_2025(of_2025: Path) -> None:
    part = of_2025 / "MICCAI-LH-BraTS2025-MET-Challenge-Training" / "UCSD - Training"
    assert 4 in label_rule(section(part), (*CLASSES, "rc")).mapping


def test_an_exam_in_two_places_is_ambiguous(of_2023: Path) -> None:
    write_exam(of_2023 / "copy", "BraTS-MET-00025-001")
    write_exam(of_2023 / "__MACOSX", "BraTS-MET-00025-000")
    found = list_cases(section(of_2023))
    assert reasons(found)["BraTS-MET-00025-001"] is CaseReason.AMBIGUOUS_FILE
    assert len(found.cases) == 2


def test_two_corrected_labels_are_ambiguous(of_2025: Path) -> None:
    path = of_2025 / "other-corrected-labels" / "BraTS-MET-00026-000-seg.nii.gz"
    write_nifti(path, np.ones((4, 4, 3), np.uint8))
    assert reasons(list_cases(section(of_2025))) == {"BraTS-MET-00026-000": CaseReason.AMBIGUOUS_FILE}


def test_corrected_label_from_outside(of_2025: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    label = write_nifti(outside / "seg.nii.gz", np.ones((4, 4, 3), np.uint8))
    folder = of_2025 / "MICCAI-LH-BraTS2025-MET-Challenge-corrected-labels"
    (folder / "BraTS-MET-00025-000-seg.nii.gz").symlink_to(label)
    assert reasons(list_cases(section(of_2025))) == {"BraTS-MET-00025-000": CaseReason.PATH_ESCAPE}


def test_folder_without_exams(tmp_path: Path) -> None:
    (tmp_path / "BraTS-MET").mkdir()
    with pytest.raises(DataError, match="no folder named like BraTS-MET-00025-000"):
        list_cases(section(tmp_path))
