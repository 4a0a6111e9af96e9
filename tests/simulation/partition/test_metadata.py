from pathlib import Path

import pytest

from client.data.case import Case
from common.errors import DataError
from simulation.partition.build import Partition, partition_cases
from simulation.partition.config import MetadataColumn, MetadataPartition
from tests.simulation.partition.cohort import exam


def split(cases: list[Case], column: MetadataColumn = "primary_cancer", min_patients: int = 2) -> Partition:
    section = MetadataPartition(kind="metadata", column=column, min_patients=min_patients)
    return partition_cases(section, cases, None, 0, Path())


def with_primary(first: int, *primaries: str) -> list[Case]:
    return [exam(str(first + i), primary_cancer=primary) for i, primary in enumerate(primaries)]


def test_one_site_a_value_and_rare_ones_merged() -> None:
    partition = split(with_primary(100, "Lung", "lung ", "Breast", "BREAST", "Renal", "Colon"))
    sizes = {site: len(cases) for site, cases in partition.sites.items()}
    assert sizes == {"breast": 2, "lung": 2, "other": 2}
    assert partition.left_out == 0
    assert "merged into 'other' (2 patients): colon, renal" in partition.notes[0]


def test_missing_values_are_a_site_of_their_own() -> None:
    partition = split([*with_primary(100, "Lung", "Lung"), exam("200"), exam("201")])
    assert list(partition.sites) == ["lung", "unknown"]


def test_exams_of_a_patient_stay_together() -> None:
    mixed = [exam("300", "A"), exam("300", "B", field_strength_t=3.0), exam("300", "C", field_strength_t=1.5)]
    others = [exam(str(310 + i), field_strength_t=1.5 if i < 2 else 3.0) for i in range(4)]
    partition = split([*others, *mixed], "field_strength_t")
    assert list(partition.sites) == ["1.5t", "3t"]
    assert [case.exam for case in partition.sites["3t"]][:3] == ["300A", "300B", "300C"]
    assert partition.notes[0].startswith("1 patients have exams with different field_strength_t")


def test_broken_cases_alone_make_no_site() -> None:
    broken = [Case(f"9{i}", f"9{i}A", {}) for i in range(5)]
    partition = split([*with_primary(100, "Lung", "Lung"), *broken])
    assert {site: len(cases) for site, cases in partition.sites.items()} == {"lung": 2}
    assert partition.left_out == 5
    assert partition.notes[0] == "5 patients without a usable case and without primary_cancer are at no site"


def test_broken_cases_go_along_with_the_rare_ones() -> None:
    partition = split([*with_primary(100, "Lung", "Lung", "Renal"), Case("900", "900A", {})])
    assert {site: len(cases) for site, cases in partition.sites.items()} == {"lung": 2, "other": 2}


def test_refuses_a_column_that_says_nothing() -> None:
    with pytest.raises(DataError, match="column = 'sex': none of the 2 cases has a value"):
        split([exam("100"), exam("101")], "sex")
    with pytest.raises(
        DataError, match=r"min_patients = 4: no value of 'primary_cancer' .* largest has 2; lower it"
    ):
        split(with_primary(100, "Lung", "Lung", "Breast"), min_patients=4)
