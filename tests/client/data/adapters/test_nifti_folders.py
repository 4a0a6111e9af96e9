"""A folder per patient: patterns, roots that cannot serve, and nothing from outside the root."""

from pathlib import Path

import numpy as np
import pytest

from client.data.adapters.build import list_cases
from client.data.case import Listing
from common.config import DataSection
from common.errors import CaseReason, ConfigError, DataError
from common.plan import Sequence
from tests.nifti import oriented_affine, write_nifti

SHAPE = (6, 5, 4)
PATTERNS: dict[Sequence, str] = {"t1c": "T1c*.nii.gz", "flair": "Flair*.nii.gz"}


def write_patient(root: Path, name: str, *files: str) -> None:
    for file in files or ("T1c_x.nii.gz", "Flair_x.nii.gz", "seg.nii.gz"):
        write_nifti(root / name / file, np.zeros(SHAPE, np.uint8), oriented_affine("LAS", (0.9, 0.9, 5.5), SHAPE))


def listing(root: Path, sequences: dict[Sequence, str] | None = None, label: str | None = "seg.nii.gz") -> Listing:
    return list_cases(
        DataSection(adapter="nifti_folders", root=root, sequences=sequences or PATTERNS, label=label)
    )


def test_cases_in_order_with_what_exists(tmp_path: Path) -> None:
    write_patient(tmp_path, "p2")
    write_patient(tmp_path, "p1", "T1c_a.nii.gz", "._T1c_a.nii.gz")
    write_patient(tmp_path, ".trash")
    (tmp_path / "readme.txt").write_text("not a case")
    first, second = listing(tmp_path).cases
    assert (first.patient, first.exam, set(first.sequences), first.label) == ("p1", "p1", {"t1c"}, None)
    assert set(second.sequences) == {"t1c", "flair"}
    assert second.label == tmp_path / "p2" / "seg.nii.gz"
    assert second.spacing_mm == pytest.approx((0.9, 0.9, 5.5))


def test_one_bad_folder_costs_one_case(tmp_path: Path) -> None:
    write_patient(tmp_path, "good")
    write_patient(tmp_path, "twice", "T1c_1.nii.gz", "T1c_2.nii.gz")
    write_patient(tmp_path, "garbled")
    (tmp_path / "garbled" / "T1c_x.nii.gz").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    found = listing(tmp_path)
    assert [case.exam for case in found.cases] == ["garbled", "good"]
    assert found.cases[0].spacing_mm is None
    reasons = {entry.exam: entry.reason for entry in found.quarantined}
    assert reasons == {"empty": CaseReason.MISSING_SEQUENCE, "twice": CaseReason.AMBIGUOUS_FILE}


@pytest.mark.parametrize("pattern", ["../secret/T1c.nii.gz", "sub/../../secret/*.nii.gz", "/etc/*.nii.gz"])
def test_pattern_that_leads_out(pattern: str, tmp_path: Path) -> None:
    write_patient(tmp_path, "p1")
    write_patient(tmp_path, "secret", "T1c.nii.gz")
    found = listing(tmp_path, {"t1c": pattern})
    assert found.cases == ()
    assert {entry.reason for entry in found.quarantined} == {CaseReason.PATH_ESCAPE}


@pytest.mark.parametrize("what", ["sequence", "label", "folder"])
def test_link_that_leads_out(what: str, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write_patient(outside, "p9")
    write_patient(root, "p1")
    if what == "folder":
        (root / "p2").symlink_to(outside / "p9")
    else:
        write_patient(root, "p2", *(["seg.nii.gz"] if what == "sequence" else ["T1c_x.nii.gz"]))
        name = "T1c_x.nii.gz" if what == "sequence" else "seg.nii.gz"
        (root / "p2" / name).symlink_to(outside / "p9" / name)
    found = listing(root)
    assert [case.exam for case in found.cases] == ["p1"]
    assert [(entry.exam, entry.reason) for entry in found.quarantined] == [("p2", CaseReason.PATH_ESCAPE)]


def test_links_within_the_root_and_a_linked_root_are_fine(tmp_path: Path) -> None:
    write_patient(tmp_path / "root", "p1")
    (tmp_path / "root" / "p2").mkdir()
    (tmp_path / "root" / "p2" / "T1c_x.nii.gz").symlink_to(tmp_path / "root" / "p1" / "T1c_x.nii.gz")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert [case.exam for case in listing(tmp_path / "link").cases] == ["p1", "p2"]


def test_loop_of_links_is_one_bad_case(tmp_path: Path) -> None:
    write_patient(tmp_path, "p1")
    (tmp_path / "p2").mkdir()
    (tmp_path / "p2" / "T1c_x.nii.gz").symlink_to(tmp_path / "p2" / "T1c_x.nii.gz")
    found = listing(tmp_path)
    assert [case.exam for case in found.cases] == ["p1"]
    assert [entry.exam for entry in found.quarantined] == ["p2"]


def test_roots_that_cannot_serve(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "T1c.nii.gz").write_bytes(b"x")
    for name, message in (("gone", "no such folder"), ("empty", "is empty"), ("flat", "one folder per patient")):
        with pytest.raises(DataError, match=message) as caught:
            listing(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_pattern_that_is_none(tmp_path: Path) -> None:
    write_patient(tmp_path, "p1")
    with pytest.raises(ConfigError, match="no glob pattern"):
        listing(tmp_path, {"t1c": "**T1c"})


def test_named_table_gives_metadata(tmp_path: Path) -> None:
    write_patient(tmp_path / "root", "p1")
    table = tmp_path / "table.csv"
    table.write_text("Sex,SubjectID,Age\r\nF,p1,90+\r\n")
    section = DataSection(adapter="nifti_folders", root=tmp_path / "root", sequences=PATTERNS, spreadsheet=table)
    (case,) = list_cases(section).cases
    assert (case.metadata.sex, case.metadata.age_years, case.metadata.primary_cancer) == ("F", 90.0, None)
    with pytest.raises(DataError, match="no such table"):
        list_cases(section.model_copy(update={"spreadsheet": tmp_path / "none.csv"}))
