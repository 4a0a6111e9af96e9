from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from common.errors import DataError
from simulation.partition.build import Partition, partition_cases
from simulation.partition.config import DirichletPartition, IidPartition, PartitionSection
from tests.simulation.partition.cohort import patients


def by_burden(alpha: float, seed: int = 1, count: int = 120, sites: int = 4) -> Partition:
    cases = patients(count)
    burden = {case.exam: float(i) for i, case in enumerate(cases)}
    section = DirichletPartition(kind="dirichlet", sites=sites, alpha=alpha)
    return partition_cases(section, cases, burden, seed, Path())


def spread_of_means(partition: Partition) -> float:
    return float(np.ptp([np.mean([int(case.patient) for case in cases]) for cases in partition.sites.values()]))


def test_small_alpha_makes_unlike_sites() -> None:
    unlike = np.mean([spread_of_means(by_burden(0.1, seed)) for seed in range(10)])
    alike = np.mean([spread_of_means(by_burden(1000.0, seed)) for seed in range(10)])
    assert unlike > 40
    assert alike < 15


@settings(max_examples=40, deadline=None)
@given(
    alpha=st.floats(0.01, 100), seed=st.integers(0, 2**63 - 1), sites=st.integers(1, 8), exams=st.integers(1, 3)
)
def test_nobody_is_lost_or_split(alpha: float, seed: int, sites: int, exams: int) -> None:
    cases = patients(20, exams)
    burden = {case.exam: float(case.patient) for case in cases[::2]}
    section = DirichletPartition(kind="dirichlet", sites=sites, alpha=alpha)
    partition = partition_cases(section, cases, burden, seed, Path())
    placed = [case.exam for own in partition.sites.values() for case in own]
    assert sorted(placed) == sorted(case.exam for case in cases)
    homes = [{case.patient for case in own} for own in partition.sites.values()]
    assert sum(map(len, homes)) == 20
    assert min(map(len, homes)) >= 2


def test_same_seed_same_sites_whatever_the_order_of_cases() -> None:
    cases, burden = patients(30, 2), {f"{100 + i}A": float(i) for i in range(30)}
    for section in (
        DirichletPartition(kind="dirichlet", sites=3, alpha=0.5),
        IidPartition(kind="iid", sites=3),
    ):
        first = partition_cases(section, cases, burden, 7, Path())
        assert partition_cases(section, cases[::-1], burden, 7, Path()) == first
        assert partition_cases(section, cases, burden, 8, Path()) != first


def test_iid_sites_are_equal_to_one_patient() -> None:
    partition = partition_cases(IidPartition(kind="iid", sites=4), patients(10, 2), None, 3, Path())
    assert [len(cases) for cases in partition.sites.values()] == [6, 6, 4, 4]
    assert list(partition.sites) == ["site-1", "site-2", "site-3", "site-4"]


def test_small_sites_are_filled_and_it_is_said() -> None:
    partition = by_burden(0.01, seed=3, count=12, sites=6)
    assert all(len(cases) >= 2 for cases in partition.sites.values())
    assert "patients moved from the largest sites" in partition.notes[0]


def test_refuses_too_few_patients() -> None:
    with pytest.raises(DataError, match="sites = 4: with at least 1 a site that takes 4 patients, there are 3"):
        partition_cases(IidPartition(kind="iid", sites=4), patients(3), None, 0, Path())
    with pytest.raises(DataError, match="takes 8 patients, there are 7"):
        by_burden(1.0, count=7)
    with pytest.raises(ValueError, match="needs the burden"):
        partition_cases(DirichletPartition(kind="dirichlet", sites=1, alpha=1.0), patients(3), None, 0, Path())


def test_unknown_keys_and_kinds_are_refused() -> None:
    section: TypeAdapter[PartitionSection] = TypeAdapter(PartitionSection)
    for text in ('{"kind":"iid","sites":0}', '{"kind":"iid","sites":2,"alpha":1}', '{"kind":"magic"}'):
        with pytest.raises(ValidationError):
            section.validate_json(text)
