"""How cases fall to sites: the `[partition]` section of an experiment, one record per kind."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from common.plan import Count, Positive
from common.schema import Frozen

MetadataColumn: TypeAlias = Literal["primary_cancer", "field_strength_t", "sex"]
SiteCount: TypeAlias = Annotated[int, Field(ge=1, le=1000)]


class SitesPartition(Frozen):
    """The sites that the data come with: a table beside them, written by the phantom generator.

    Attributes:
        file: the table; `sites.csv` in the data root when not given.
    """

    kind: Literal["sites"]
    file: Path | None = None


class TablePartition(Frozen):
    """The sites of a table with the columns `Partition_ID,Subject_ID`, as the FeTS challenge publishes them."""

    kind: Literal["table"]
    file: Path


class MetadataPartition(Frozen):
    """One site per value of a metadata column.

    Attributes:
        column: a field of the cases' metadata.
        min_patients: values with fewer patients are merged into the site `other`.
    """

    kind: Literal["metadata"]
    column: MetadataColumn
    min_patients: Count = 5


class DirichletPartition(Frozen):
    """Sites unlike in lesion burden: every stratum of burden is dealt out by its own Dirichlet draw.

    Attributes:
        sites: how many.
        alpha: 0.1 gives sites of nearly one stratum each, 100 gives nearly equal mixes.
        strata: groups of equal size into which patients are sorted by burden.
        min_patients: a site with fewer takes patients from the largest.
    """

    kind: Literal["dirichlet"]
    sites: SiteCount
    alpha: Positive
    strata: Count = 4
    min_patients: Count = 2


class IidPartition(Frozen):
    """Sites alike: patients are shuffled and dealt in turn."""

    kind: Literal["iid"]
    sites: SiteCount


PartitionSection: TypeAlias = (
    SitesPartition | TablePartition | MetadataPartition | DirichletPartition | IidPartition
)
