import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from client.data.case import Case
from common.errors import DataError
from simulation.partition.build import Partition, partition_cases
from simulation.partition.config import SitesPartition, TablePartition
from simulation.partition.table import write_table
from tests.simulation.partition.cohort import exam, patients

HEADER = "Partition_ID,Subject_ID\n"


def split(tmp_path: Path, table: str | bytes, cases: list[Case]) -> Partition:
    file = tmp_path / "table.csv"
    file.write_bytes(table if isinstance(table, bytes) else table.encode())
    return partition_cases(TablePartition(kind="table", file=file), cases, None, 0, tmp_path)


def exams(partition: Partition) -> dict[str, list[str]]:
    return {site: [case.exam for case in cases] for site, cases in partition.sites.items()}


def test_folder_patient_left_out_and_unknown_subjects(tmp_path: Path) -> None:
    cases = [*patients(3, exams=2), exam("900")]
    partition = split(tmp_path, HEADER + "2,100A\n2,100B\n10,101\n-1,102\n3,nobody\n", cases)
    assert exams(partition) == {"site-2": ["100A", "100B"], "site-10": ["101A", "101B"]}
    assert partition.left_out == 3
    assert partition.notes == (
        "1 of 5 subjects in table.csv are not among the cases",
        "1 of 3 sites in table.csv have no case here",
        "3 of 7 cases belong to no site and are left out",
    )


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, prefix: bytes, end: bytes) -> None:
    table = prefix + end.join([b"Partition_ID,Subject_ID", b"1, 100A", b"", b"2,101A"])
    assert exams(split(tmp_path, table, patients(2))) == {"site-1": ["100A"], "site-2": ["101A"]}


def test_names_and_other_columns(tmp_path: Path) -> None:
    table = 'Scanner,Subject_ID,Partition_ID\nx,100A,"Süd, Haus 3"\ny,101A,north\nz,102A,01\n'
    assert set(split(tmp_path, table, patients(3)).sites) == {"Sud-Haus-3", "north", "site-1"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", r"line 1: column Partition_ID and Subject_ID missing"),
        ("Partition_ID,Subject\n1,100A\n", r"line 1: column Subject_ID missing, the header is .*'Subject'"),
        (HEADER, r"line 1: the table has a header and no rows"),
        (HEADER + "1,100A\n1\n", r"line 3: Subject_ID is empty"),
        (HEADER + "1,100A\n\n,101A\n", r"line 4: Partition_ID is empty"),
        (HEADER + "-2,100A\n", r"line 2: Partition_ID -2: use -1"),
        (HEADER + "***,100A\n", r"line 2: Partition_ID '\*\*\*' holds no letter"),
        (HEADER + "1,100A\n2,100A\n", r"line 3: subject '100A' is in site 'site-2', but line 2 .* 'site-1'"),
        (HEADER + "1,100A\n-1,100A\n", r"line 3: subject '100A' is in no site \(-1\)"),
        (HEADER + "1,100A\nsite-1,101A\n", r"line 3: .*'site-1' and '1' would both be named 'site-1'"),
        (HEADER + "1,100A\n2,100B\n", r"patient 100 is split over sites 'site-1' \(exam 100A\) and 'site-2'"),
        (HEADER + "1,X\n", r"none of its 1 subjects \(such as 'X'\).*folder '100A', patient '100'"),
        (b"\xff\xfe\x00", "cannot be read as a partition table"),
    ],
)
def test_refusals_name_the_line(tmp_path: Path, table: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        split(tmp_path, table, patients(2, exams=2))


def test_missing_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        partition_cases(TablePartition(kind="table", file=tmp_path / "absent.csv"), patients(1), None, 0, tmp_path)
    with pytest.raises(DataError, match=r"sites\.csv: no such table, and .* kind = 'sites' needs one"):
        partition_cases(SitesPartition(kind="sites"), patients(1), None, 0, tmp_path)


def test_written_table_reads_back(tmp_path: Path) -> None:
    first = split(tmp_path, HEADER + "north,100\n7,101\n", patients(3, exams=2))
    write_table(tmp_path / "sites.csv", first.sites)
    again = partition_cases(SitesPartition(kind="sites"), patients(3, exams=2), None, 0, tmp_path)
    assert exams(again) == exams(first) == {"north": ["100A", "100B"], "site-7": ["101A", "101B"]}


@pytest.mark.real
@pytest.mark.skipif("FEDMETS_REAL_DATA" not in os.environ, reason="FEDMETS_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("partitioning_1", "511,6,15,47,22,34,12,8,4,8,14,11,35,6,13,30,9,382,4,33,35,7,5"),
        (
            "partitioning_2",
            "170,170,171,6,15,16,15,16,22,34,12,8,4,8,14,11,12,11,12,6,13,30,9,127,127,128,4,33,12,11,12,7,5",
        ),
        ("small_split", "4,3,3"),
    ],
)
def test_published_institution_splits(name: str, sizes: str) -> None:
    file = Path(os.environ["FEDMETS_REAL_DATA"]) / "fets-partitions" / f"{name}.csv"
    with file.open(newline="") as rows:
        cases = [Case(row["Subject_ID"], row["Subject_ID"], {}) for row in csv.DictReader(rows)]
    cases.append(Case("unlisted", "unlisted", {}))
    partition = partition_cases(TablePartition(kind="table", file=file), cases, None, 0, file.parent)
    expected = [int(size) for size in sizes.split(",")]
    assert [len(own) for own in partition.sites.values()] == expected
    assert list(partition.sites) == [f"site-{i + 1}" for i in range(len(expected))]
    assert partition.left_out == 1
    assert Counter(map(len, partition.sites.values())) == Counter(expected)
