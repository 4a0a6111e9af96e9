"""Give every case to a site, or leave it out and say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.data.case import Case
from common.errors import DataError
from simulation.partition.assignment import Assignment
from simulation.partition.config import (
    DirichletPartition,
    IidPartition,
    MetadataPartition,
    PartitionSection,
    SitesPartition,
    TablePartition,
)
from simulation.partition.draw import by_chance, by_dirichlet
from simulation.partition.metadata import by_metadata
from simulation.partition.table import by_table

SITES_FILE = "sites.csv"


@dataclass(frozen=True, slots=True)
class Partition:
    """Cases by site.

    Attributes:
        sites: each site's cases in order of exam; sites in the order of the plan; none is empty.
        left_out: number of cases that no site gets.
        notes: what a reader of the results must know, a sentence each.
    """

    sites: Mapping[str, tuple[Case, ...]]
    left_out: int
    notes: tuple[str, ...] = ()


def partition_cases(
    section: PartitionSection,
    cases: Sequence[Case],
    burden: Mapping[str, float] | None,
    seed: int,
    root: Path,
) -> Partition:
    """Partition the cases; all exams of a patient go to one site, whatever the kind.

    Args:
        section: the experiment's `[partition]`, its paths expanded.
        cases: in any order; the outcome does not depend on it.
        burden: lesion burden by exam, for kind `dirichlet` only.
        seed: for the kinds that draw.
        root: the data root, where kind `sites` finds its table.

    Raises:
        DataError: a table or column that cannot serve, a patient split over sites, too few patients.
        ValueError: kind `dirichlet` without `burden`.
    """
    assignment = _assign(section, cases, burden, seed, root)
    sites: dict[str, list[Case]] = {site: [] for site in assignment.sites}
    for case in sorted(cases, key=lambda case: case.exam):
        if case.exam in assignment.site_of:
            sites[assignment.site_of[case.exam]].append(case)
    left_out = len(cases) - len(assignment.site_of)
    notes = assignment.notes
    if left_out:
        notes = (*notes, f"{left_out} of {len(cases)} cases belong to no site and are left out")
    return Partition({site: tuple(own) for site, own in sites.items()}, left_out, notes)


def _assign(
    section: PartitionSection, cases: Sequence[Case], burden: Mapping[str, float] | None, seed: int, root: Path
) -> Assignment:
    match section:
        case SitesPartition(file=file):
            table = file or root / SITES_FILE
            if not table.exists():
                raise DataError(
                    f"{table}: no such table, and [partition] kind = 'sites' needs one; give file = PATH, or "
                    "choose kind = 'table', 'metadata', 'dirichlet' or 'iid'"
                )
            return by_table(table, cases)
        case TablePartition(file=file):
            return by_table(file, cases)
        case MetadataPartition():
            return by_metadata(section, cases)
        case DirichletPartition():
            if burden is None:
                raise ValueError("a partition over lesion burden needs the burden of every exam")
            return by_dirichlet(section, cases, burden, np.random.default_rng(seed))
        case IidPartition():
            return by_chance(section, cases, np.random.default_rng(seed))
