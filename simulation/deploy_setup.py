"""What a consortium and its hospitals do before the first round, done for all of them in one folder.

DEPLOYMENT/
  server/          the aggregator's folder: authority, keys, registry, plan, run
  sites/NAME/      a hospital's folder: keys, kit, site.toml, the plan it approved
  data/NAME/       its cases
  logs/            output of the processes
"""

import json
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from client.approvals import decide, receive_plan
from client.data.adapters.build import label_rule, list_cases
from client.data.splits import MOVED
from client.joining import compare_with, join_federation
from client.requesting import request_enrollment
from client.server_trust import open_site
from client.site_config import SITE_FILE
from client.site_folder import SiteFolder
from common.config import DataSection
from common.durable import commit_folder, write_durably
from common.errors import UserError
from common.plan import Plan
from server.bundle import write_bundle
from server.enrollment import enroll_site
from server.plans import KeptPlan, all_plans, sign_plan
from server.provisioning import ServerFolder, init_federation, open_server
from server.superlink import flower_folder
from simulation.config import Experiment
from simulation.engine import Means
from simulation.partition.export import export_sites
from simulation.prepare import data_section, divide
from simulation.site_labels import section_at
from simulation.sites import CACHE_FOLDER, Prepared

HOST = "127.0.0.1"


def set_up(
    experiment: Experiment, prepared: Prepared, means: Means, bundle_sha256: str | None = None
) -> tuple[ServerFolder, KeptPlan]:
    """Found the federation, enrol its sites and have the plan approved; what an earlier call did is left alone.

    Args:
        experiment: where the data come from.
        prepared: its plan's sites have a folder each afterwards.
        means: of the run.
        bundle_sha256: of what Flower delivers; None for the thin bundle of a deployment.

    Raises:
        UserError: the split needs a rule that no hospital can follow alone.
    """
    _refuse_moved(prepared)
    plan, folder = prepared.plan, means.folder / "deployment"
    folder.mkdir(exist_ok=True)
    (folder / "logs").mkdir(exist_ok=True)
    server = _server(folder / "server", plan.name)
    _share_out_data(experiment, means, folder / "data")
    section = data_section(experiment, means.folder, means.workers, means.progress)
    for site in plan.sites:
        _add_site(server, site, site_folder(means.folder, site))
        own = _own_section(section_at(experiment, section, site), folder / "data" / site)
        text = site_toml(own, experiment.runtime.device, means.folder / CACHE_FOLDER)
        write_durably(folder / "sites" / site / SITE_FILE, text.encode())
    kept = _plan(server, plan, bundle_sha256 or write_bundle(flower_folder(server).app))
    for site in plan.sites:
        own_folder = site_folder(means.folder, site)
        proposal = receive_plan(own_folder, open_site(own_folder), kept.envelope, _now())
        if proposal.standing != "approved":
            decide(own_folder, proposal, "approved", _now())
    return server, kept


def _refuse_moved(prepared: Prepared) -> None:
    """A hospital alone cannot know that no other has a test patient: its split, and the model, would differ."""
    for note in prepared.notes:
        if note.startswith(MOVED):
            raise UserError(f"{note}; hospitals on their own would split otherwise: set split.test or split.salt")


def site_folder(folder: Path, site: str) -> SiteFolder:
    """A hospital's folder within a run's."""
    return SiteFolder(folder / "deployment" / "sites" / site)


def site_toml(section: DataSection, device: str, cache: Path) -> str:
    """A hospital's configuration as a person would have written it."""
    stated: dict[str, Any] = json.loads(section.model_dump_json(exclude_defaults=True))
    own = {key: value for key, value in stated.items() if value is not None}
    return tomli_w.dumps({"device": device, "folders": {"cache": str(cache)}, "data": own})


def _server(folder: Path, name: str) -> ServerFolder:
    if folder.exists():
        return open_server(folder)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    return init_federation(folder, name, (HOST,), port, _now())


def _share_out_data(experiment: Experiment, means: Means, out: Path) -> None:
    """A folder of cases for each hospital, as `fedmets-sim partition --folders` makes them."""
    if out.exists():
        return
    section = data_section(experiment, means.folder, means.workers, means.progress)
    listing = list_cases(section)
    partition = divide(experiment, section, listing, label_rule(section, experiment.labels))
    building = out.with_name(f".{out.name}")
    shutil.rmtree(building, ignore_errors=True)
    export_sites(partition, section.root, building, section.spreadsheet)
    commit_folder(building, out)


def _own_section(section: DataSection, root: Path) -> DataSection:
    """The same layout, read at one hospital's own root."""
    spreadsheet = None
    if section.spreadsheet is not None:
        inside = section.spreadsheet.resolve().is_relative_to(section.root.resolve())
        place = section.spreadsheet.resolve().relative_to(section.root.resolve()) if inside else None
        spreadsheet = root / (place or section.spreadsheet.name)
    return section.model_copy(update={"root": root, "spreadsheet": spreadsheet})


def _add_site(server: ServerFolder, name: str, folder: SiteFolder) -> None:
    """Request, enrol and join, as far as an earlier call had not come."""
    kit = folder.path.with_suffix(".kit")
    if folder.in_use() is not None:
        return
    folder.path.parent.mkdir(exist_ok=True)
    request = request_enrollment(folder, name, _now()).file
    enroll_site(server, request, kit, _now())
    join_federation(folder, kit, compare_with(server.authority().fingerprint), _now())


def _plan(server: ServerFolder, plan: Plan, bundle_sha256: str) -> KeptPlan:
    for kept in all_plans(server):
        if kept.body.plan_id == plan.fingerprint() and kept.body.bundle_sha256 == bundle_sha256:
            return kept
    return sign_plan(server, plan, bundle_sha256, server.identity(None), _now())


def _now() -> datetime:
    return datetime.now(UTC)
