"""The cohort on disk: layout, table, determinism, and the way back through the adapter."""

import csv
import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import openpyxl
import pytest

from client.data.adapters.build import list_cases
from common.config import DataSection
from common.errors import StorageError
from simulation.bench import phantom as bench
from simulation.phantom.dataset import exam_folder, exam_list, finish_cohort, write_exam
from simulation.phantom.profile import PhantomSection
from simulation.phantom.records import CohortRecord
from tests.simulation.phantom.cohorts import DEMO_LIKE, section_of, write_cohort

SECTION = section_of(
    DEMO_LIKE.model_copy(update={"name": "east", "patients": 2, "exams_per_patient": 2.5}),
    DEMO_LIKE.model_copy(
        update={
            "name": "west",
            "patients": 2,
            "orientation": "LPS",
            "spacing_mm": (2.4, 2.4, 4.0),
            "missing": ("t2", "subtraction"),
            "field_strength_t": 1.5,
        }
    ),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(SECTION, 4, folder)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_layout(root: Path) -> None:
    subjects = [request.subject_id for request in exam_list(SECTION, 4)]
    assert {"110001A", "110002A", "111001A", "111002A"} <= set(subjects)
    assert any(subject.endswith("B") for subject in subjects)
    names = {path.name for path in exam_folder(root, "110001A").iterdir()}
    suffixes = ("T1pre", "T1post", "FLAIR", "T2Synth", "subtraction", "seg", "BraTS-seg")
    assert names == {f"110001A_{suffix}.nii.gz" for suffix in suffixes}
    folders = {path.name for path in exam_folder(root, "x").parent.iterdir()}
    assert folders == set(subjects)


def test_missing_sequences_are_missing(root: Path) -> None:
    names = {path.name for path in exam_folder(root, "111001A").iterdir()}
    assert names == {f"111001A_{suffix}.nii.gz" for suffix in ("T1pre", "T1post", "FLAIR", "seg", "BraTS-seg")}


def test_subject_table_has_the_published_quirks(root: Path) -> None:
    path = root / "UCSF_BrainMetastases_v1.3" / "TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx"
    sheet = openpyxl.load_workbook(path)["RENAMED"]
    exams = len(exam_list(SECTION, 4))
    assert sheet.max_row == 1 + exams + 99
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0][0] == "SubjectID"
    assert rows[1][0] == "110001A"
    assert rows[exams][4] == 1.5
    assert all(cell is None for row in rows[exams + 1 :] for cell in row)


def test_partition_table(root: Path) -> None:
    with (root / "sites.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["Partition_ID"] for row in rows} == {"east", "west"}
    assert {row["Subject_ID"] for row in rows} == {request.subject_id for request in exam_list(SECTION, 4)}


def test_record_states_scale_and_tells_drawn_from_annotated(root: Path) -> None:
    record = CohortRecord.from_json((root / "cohort.json").read_bytes())
    assert (record.seed, record.lesion_scale) == (4, 3.07)
    assert json.loads((root / "cohort.json").read_text())["section"]["sites"][0]["name"] == "east"
    for exam in record.exams:
        label = nib.load(exam_folder(root, exam.subject_id) / f"{exam.subject_id}_seg.nii.gz")
        voxels = np.asarray(label.dataobj).sum() * np.prod(label.header.get_zooms())
        assert sum(lesion.annotated_mm3 for lesion in exam.lesions) == pytest.approx(voxels, rel=1e-5)
        assert all((lesion.annotated_mm3 > 0) == (lesion.fate == "annotated") for lesion in exam.lesions)


def test_headers_are_proper_and_orientations_vary(root: Path) -> None:
    east, west = (nib.load(exam_folder(root, name) / f"{name}_T1post.nii.gz") for name in ("110001A", "111001A"))
    assert nib.aff2axcodes(east.affine) == ("R", "A", "S")
    assert nib.aff2axcodes(west.affine) == ("L", "P", "S")
    assert west.shape == (64, 72, 38)
    for image in (east, west):
        assert image.get_data_dtype() == np.int16
        assert int(image.header["qform_code"]) == int(image.header["sform_code"]) == 1
        assert np.allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    assert np.allclose(west.header.get_zooms(), (2.4, 2.4, 4.0))


def test_three_class_label_contains_the_binary_one(root: Path) -> None:
    folder = exam_folder(root, "111002A")
    binary, three = (
        np.asarray(nib.load(folder / f"111002A_{suffix}.nii.gz").dataobj) for suffix in ("seg", "BraTS-seg")
    )
    assert set(np.unique(binary)) == {0, 1}
    assert np.array_equal(binary == 1, np.isin(three, (1, 3)))


def test_same_seed_same_bytes_in_any_order(root: Path, tmp_path: Path) -> None:
    requests = exam_list(SECTION, 4)
    records = [write_exam(request, tmp_path) for request in reversed(requests)]
    finish_cohort(SECTION, 4, tuple(records), tmp_path)
    assert hashes(tmp_path) == hashes(root)


def test_another_seed_is_another_cohort(root: Path, tmp_path: Path) -> None:
    write_exam(exam_list(SECTION, 5)[0], tmp_path)
    name = "110001A_T1post.nii.gz"
    assert (exam_folder(tmp_path, "110001A") / name).read_bytes() != (
        exam_folder(root, "110001A") / name
    ).read_bytes()


def test_an_exam_does_not_depend_on_the_other_sites(root: Path, tmp_path: Path) -> None:
    alone = PhantomSection.model_validate({**dict(SECTION), "sites": SECTION.sites[:1]})
    write_exam(exam_list(alone, 4)[0], tmp_path)
    written = hashes(exam_folder(tmp_path, "110001A"))
    assert written == hashes(exam_folder(root, "110001A"))


def test_reads_back_through_the_adapter(root: Path) -> None:
    listing = list_cases(DataSection(adapter="ucsf_bmsr", root=root))
    assert not listing.quarantined
    cases = {case.exam: case for case in listing.cases}
    assert set(cases) == {request.subject_id for request in exam_list(SECTION, 4)}
    east, west = cases["110001A"], cases["111001A"]
    assert set(east.sequences) == {"t1", "t1c", "t2", "flair", "subtraction"}
    assert set(west.sequences) == {"t1", "t1c", "flair"}
    assert east.patient == "110001"
    assert west.metadata.field_strength_t == 1.5
    assert east.metadata.age_years is not None
    assert west.spacing_mm == pytest.approx((2.4, 2.4, 4.0))


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / "UCSF_BrainMetastases_v1.3").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write the phantom cohort"):
        write_exam(exam_list(SECTION, 4)[0], tmp_path)


def test_bench_reports_seconds_a_case() -> None:
    assert "s a case" in bench.run(1)
