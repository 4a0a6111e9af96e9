"""A hospital that reads its own folder comes to the very cases that the simulation of all hospitals gives it."""

import io
import shutil
from pathlib import Path

import pytest

from client.case_list import SiteCases, pinned_cases
from client.preparing import prepare_site
from common.config import DataSection
from simulation.config import load_experiment
from simulation.partition.command import partition_command
from simulation.pool import Workers
from simulation.prepare import prepare_sites
from simulation.progress import PlainProgress
from simulation.sites import Prepared
from tests.end_to_end.tiny import SITES, data_config


@pytest.fixture
def together(tmp_path: Path, cohort: Path) -> Prepared:
    """The whole cohort in one place, an image cut short and another case without a label; and a folder a site."""
    cases = Path(shutil.copytree(cohort, tmp_path / "cases"))
    image = next(cases.rglob("112001A_T1post.nii.gz"))
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    next(cases.rglob("110002A_seg.nii.gz")).unlink()
    experiment = load_experiment(data_config(tmp_path, cases))
    progress = PlainProgress(io.StringIO())
    with Workers(1, 1) as workers:
        prepared = prepare_sites(experiment, tmp_path / "together", workers, progress)
    partition_command(experiment, tmp_path / "partition", True, progress)
    return prepared


def prepare_alone(folder: Path, name: str, prepared: Prepared) -> SiteCases:
    data = DataSection(adapter="ucsf_bmsr", root=folder / "partition" / "sites" / name)
    state = folder / "state" / name
    opened = prepare_site(name, prepared.plan, data, "cpu", folder / "cache" / name, state, lambda _: None)
    pinned = pinned_cases(state / prepared.plan.fingerprint() / "cases.json")
    assert pinned is not None
    assert [case.exam for case in opened.training_cases] == [ref.exam for ref in pinned.training]
    return pinned


def test_every_site_alone_has_the_cases_of_the_simulation(tmp_path: Path, together: Prepared) -> None:
    alone = {name: prepare_alone(tmp_path, name, together) for name in SITES}
    assert alone == {site.name: site for site in together.sites}  # keys are hashes of contents: the bits agree too
    assert {name: cases.quarantined for name, cases in alone.items()} == {
        "north": {"missing-label": 1},
        "south": {},
        "west": {"truncated-file": 1},
    }
    assert [len(alone[name].cases) for name in SITES] == [3, 3, 2]
    assert sum(len(cases.test) for cases in alone.values()) == sum(len(site.test) for site in together.sites) >= 1
