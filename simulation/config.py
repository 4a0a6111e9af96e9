"""The experiment file: data or phantoms, how they fall to sites, and the plan that the sites will follow."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from common.config import DataSection, RuntimeSection, expand_paths, read_toml, validate
from common.errors import ConfigError
from common.model.build import check_patch_size, new_network
from common.plan import Plan, Terms
from simulation.partition.config import PartitionSection, SitesPartition
from simulation.phantom.profile import PhantomSection


class Experiment(Terms):
    """One experiment as its TOML file states it, paths expanded.

    Exactly one of `phantom` (a cohort is generated) and `data` (a cohort is read) must be there; `partition`
    makes the sites that the terms lack to be a plan; `runtime` is in no plan.
    """

    phantom: PhantomSection | None = None
    data: DataSection | None = None
    partition: Annotated[PartitionSection, Field(discriminator="kind")] = SitesPartition(kind="sites")
    runtime: RuntimeSection = RuntimeSection()

    @model_validator(mode="after")
    def _one_source_of_data(self) -> "Experiment":
        if (self.phantom is None) == (self.data is None):
            raise ValueError("give either [data] (your own cases) or [phantom] (a generated cohort), one of them")
        return self

    @model_validator(mode="after")
    def _site_labels_have_their_site(self) -> "Experiment":
        own = [site.name for site in self.phantom.sites if site.labels is not None] if self.phantom else []
        if own and self.partition.kind != "sites":
            raise ValueError(
                f"phantom site {own[0]} states labels of its own, and [partition] kind = '{self.partition.kind}' "
                "mixes the sites' cases: take kind = 'sites', or leave labels out"
            )
        return self

    def identity(self) -> str:
        """Fingerprint of all that can change the outcome; `[runtime]` cannot."""
        return self.model_copy(update={"runtime": RuntimeSection()}).fingerprint()

    def plan_for(self, sites: tuple[str, ...]) -> Plan:
        """The plan for these sites."""
        return Plan(sites=sites, **{name: getattr(self, name) for name in Terms.model_fields})


def load_experiment(path: Path, seed: int | None = None, workers: int | None = None) -> Experiment:
    """Read, expand and check an experiment file.

    Args:
        path: the TOML file; relative paths in it are relative to it.
        seed, workers: replace the file's own values when given.

    Raises:
        ConfigError: one line with every fault found.
    """
    values = read_toml(path)
    if seed is not None:
        values["seed"] = seed
    return experiment_of(values, path, str(path), workers)


def experiment_of(values: dict[str, Any], path: Path, where: str, workers: int | None = None) -> Experiment:
    """Expand and check the values of an experiment file.

    Args:
        values: as read; the sections that hold paths are replaced by their expanded copies.
        path: of the file, which relative paths are relative to.
        where: begins the message of an error.
        workers: replaces the file's own number when given.

    Raises:
        ConfigError: one line with every fault found.
    """
    base = path.resolve().parent
    _expand_section(values, "data", ("root", "spreadsheet"), base, where)
    _expand_section(values, "partition", ("file",), base, where)
    if workers is not None:
        runtime = values.get("runtime", {})
        if isinstance(runtime, dict):
            values["runtime"] = {**runtime, "workers": workers}
    experiment = validate(Experiment, values, where)
    _check_network(experiment, where)
    return experiment


def _check_network(experiment: Experiment, where: str) -> None:
    """Refuse a network that cannot be built or fed now, not after the data have been prepared."""
    try:
        check_patch_size(experiment.model, experiment.training.patch_size)
        new_network(experiment)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _expand_section(values: dict[str, Any], section: str, keys: tuple[str, ...], base: Path, where: str) -> None:
    if section not in values:
        return
    if not isinstance(values[section], dict):
        raise ConfigError(f"{where}: '{section}' must be a table, write [{section}]; got {values[section]!r}")
    values[section] = expand_paths(values[section], keys, base, f"{where}: {section}")
