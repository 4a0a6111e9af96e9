import os
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from client.data.adapters.build import list_cases
from client.data.case import Case
from common.config import DataSection
from common.errors import DataError, OutputError
from simulation.partition.build import Partition
from simulation.partition.export import export_sites

TRAIN = "UCSF_BrainMetastases_TRAIN"
SHEET = "TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx"


def make_root(folder: Path, *exams: str) -> list[Case]:
    """A dataset in the UCSF layout, each file holding its own name, and 9 blank rows in the spreadsheet."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "RENAMED"
    sheet.append(["SubjectID", "Sex", "Age"])
    cases = []
    for exam in exams:
        own = folder / TRAIN / exam
        own.mkdir(parents=True)
        for name in ("T1post", "FLAIR", "seg", "subtraction"):
            (own / f"{exam}_{name}.nii.gz").write_text(f"{exam} {name}")
        sheet.append([exam, "F", 61])
        files = {"t1c": own / f"{exam}_T1post.nii.gz", "flair": own / f"{exam}_FLAIR.nii.gz"}
        cases.append(Case(exam[:-1], exam, files, label=own / f"{exam}_seg.nii.gz"))
    for _ in range(9):
        sheet.append([None, "", None])
    book.save(folder / SHEET)
    return cases


def rows(path: Path) -> list[tuple[object, ...]]:
    sheet = load_workbook(path)["RENAMED"]
    return [tuple(row) for row in sheet.iter_rows(values_only=True)]


def test_each_site_gets_its_own_files_and_rows(tmp_path: Path) -> None:
    cases = make_root(tmp_path / "root", "100101A", "100101B", "100202A")
    partition = Partition({"north": tuple(cases[:2]), "south": tuple(cases[2:])}, 0)
    written = export_sites(partition, tmp_path / "root", tmp_path / "out")
    assert written == {"north": 8, "south": 4}
    south = sorted(str(p.relative_to(tmp_path / "out/south")) for p in (tmp_path / "out/south").rglob("*.gz"))
    assert south == [
        f"{TRAIN}/100202A/100202A_{name}.nii.gz" for name in ("FLAIR", "T1post", "seg", "subtraction")
    ]
    assert rows(tmp_path / "out/north" / SHEET)[1:] == [("100101A", "F", 61), ("100101B", "F", 61)]
    assert rows(tmp_path / "out/south" / SHEET)[1:] == [("100202A", "F", 61)]
    own = list_cases(DataSection(adapter="ucsf_bmsr", root=tmp_path / "out/north"))
    assert [case.exam for case in own.cases] == ["100101A", "100101B"] and own.cases[0].metadata.age_years == 61
    copied = tmp_path / "out/south" / TRAIN / "100202A/100202A_seg.nii.gz"
    assert copied.samefile(tmp_path / "root" / TRAIN / "100202A/100202A_seg.nii.gz")


def test_named_tables_and_a_root_above_the_release(tmp_path: Path) -> None:
    cases = make_root(tmp_path / "root" / "release", "100101A", "100202A")
    table = tmp_path / "ages.csv"
    table.write_bytes(b"\xef\xbb\xbfSubjectID,Age\r\n100101A,50\r\n100202A,60\r\n")
    partition = Partition({"north": (cases[0],), "south": (cases[1],)}, 0)
    export_sites(partition, tmp_path / "root", tmp_path / "out", table)
    assert (tmp_path / "out/south/ages.csv").read_text() == "SubjectID,Age\n100202A,60\n"
    assert rows(tmp_path / "out/south/release" / SHEET)[1:] == [("100202A", "F", 61)]


def test_copies_where_links_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    cases = make_root(tmp_path / "root", "100101A")
    export_sites(Partition({"north": tuple(cases)}, 0), tmp_path / "root", tmp_path / "out")
    copied = tmp_path / "out/north" / TRAIN / "100101A/100101A_seg.nii.gz"
    assert copied.read_text() == "100101A seg"
    assert copied.stat().st_nlink == 1


def test_flat_layout_takes_the_files_in_use_only(tmp_path: Path) -> None:
    cases = []
    for exam in ("a", "b"):
        for kind in ("images", "labels"):
            (tmp_path / "root" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "root" / kind / f"{exam}.nii.gz").write_text(exam)
        image = tmp_path / f"root/images/{exam}.nii.gz"
        cases.append(Case(exam, exam, {"t1c": image}, label=tmp_path / f"root/labels/{exam}.nii.gz"))
    export_sites(Partition({"one": (cases[0],)}, 1), tmp_path / "root", tmp_path / "out")
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.gz"))
    assert found == ["one/images/a.nii.gz", "one/labels/a.nii.gz"]


def test_refuses_a_used_folder_and_files_outside_the_root(tmp_path: Path) -> None:
    cases = make_root(tmp_path / "root", "100101A")
    with pytest.raises(OutputError, match="root: is not an empty folder"):
        export_sites(Partition({"n": tuple(cases)}, 0), tmp_path / "root", tmp_path / "root")
    (tmp_path / "outside").mkdir()
    stray = Case("p", "pA", {"t1c": tmp_path / "root/../outside/x.nii.gz"})
    with pytest.raises(DataError, match=r"case pA: .* lies outside the data root"):
        export_sites(Partition({"n": (stray,)}, 0), tmp_path / "root", tmp_path / "out")
    (tmp_path / "root" / "broken.xlsx").write_text("not a workbook")
    with pytest.raises(DataError, match=r"broken\.xlsx: cannot be read as a spreadsheet"):
        export_sites(Partition({"n": tuple(cases)}, 0), tmp_path / "root", tmp_path / "out2")
