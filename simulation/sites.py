"""The prepared sites of a simulation: small records on disk, arrays memory-mapped from the shared cache."""

from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from client.case_list import SiteCases
from client.data.case import Metadata
from client.device import torch_device
from client.preparing import open_cases
from client.site import Site
from common.durable import write_durably
from common.errors import OutputError
from common.plan import Plan
from common.schema import Frozen

PREPARED_FILE = "prepared.json"
CACHE_FOLDER = "cache"
STATE_FOLDER = "state"


class Prepared(Frozen):
    """Everything that a worker process needs to open the sites of a run.

    Attributes:
        plan: what the sites agreed to.
        sites: in the plan's order.
        device: where networks run.
        left_out: cases that the partition gives to no site.
        notes: what a reader of the results must know about the split and the partition.
    """

    plan: Plan
    sites: tuple[SiteCases, ...]
    device: str
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def site(self, name: str) -> SiteCases:
        """The site of this name."""
        return next(site for site in self.sites if site.name == name)


def save_prepared(prepared: Prepared, folder: Path) -> None:
    """Write for the workers to read.

    Raises:
        OutputError: the folder's run began with other cases, so that going on would mix the two.
    """
    path = folder / PREPARED_FILE
    if path.exists():
        _refuse_other_cases(prepared, path)
    write_durably(path, prepared.to_json().encode())
    load_prepared.cache_clear()
    open_site.cache_clear()


def _refuse_other_cases(prepared: Prepared, path: Path) -> None:
    try:
        earlier = Prepared.from_json(path.read_bytes())
    except (OSError, ValidationError):
        raise OutputError(
            f"{path}: not readable; remove the folder {path.parent} or choose another --out"
        ) from None
    before, now = ({site.name: site for site in one.sites} for one in (earlier, prepared))
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            counts = [len(sites[name].cases) if name in sites else 0 for sites in (before, now)]
            raise OutputError(
                f"{path.parent}: the cases of site {name} have changed since this run began ({counts[0]} usable "
                f"then, {counts[1]} now); restore them to go on, or choose another --out"
            )


@lru_cache(maxsize=4)
def load_prepared(folder: Path) -> Prepared:
    """Read once per process."""
    return Prepared.from_json((folder / PREPARED_FILE).read_bytes())


@lru_cache(maxsize=64)
def open_site(folder: Path, name: str) -> Site:
    """A site with its cases mapped into memory; opened once per process, as a resident daemon would."""
    prepared = load_prepared(folder)
    return open_cases(
        prepared.site(name),
        prepared.plan,
        folder / CACHE_FOLDER,
        torch_device(prepared.device),
        folder / STATE_FOLDER / name,
    )


def traits_of_tests(prepared: Prepared, folder: Path) -> dict[tuple[str, str], Metadata]:
    """What the dataset knows of every test case, by site and exam."""
    return {
        (site.name, case.exam): case.metadata
        for site in prepared.sites
        for case in open_site(folder, site.name).test_cases
    }
