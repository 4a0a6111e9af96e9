"""A federation on disk for a trial: an aggregator, sites without data, and a plan that all of them approved."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.approvals import decide, receive_plan
from client.joining import compare_with, join_federation
from client.requesting import request_enrollment
from client.server_trust import open_site
from client.site_config import Folders, SiteConfig
from client.site_folder import SiteFolder
from common.compression import Encoding
from common.config import DataSection
from common.keyfiles import write_private_file
from common.plan import FederationSpec, ModelSpec, Plan, TrainingSpec
from server.bundle import write_bundle
from server.enrollment import enroll_site
from server.plans import KeptPlan, sign_plan
from server.provisioning import ServerFolder, init_federation
from server.superlink import LOOPBACK, flower_folder, free_port


@dataclass(frozen=True, slots=True)
class IdleSite:
    """A site that has joined and approved the plan.

    Attributes:
        port: of its SuperNode's Runtime API.
        secret: file that SuperNode and worker share.
    """

    folder: SiteFolder
    config: SiteConfig
    number: int
    port: int
    secret: Path

    @property
    def name(self) -> str:
        """The folder's name is the site's."""
        return self.folder.path.name


def plan_of(
    sites: int, encoding: Encoding, model: ModelSpec, training: TrainingSpec, rounds: int, deadline_s: float
) -> Plan:
    """A plan whose network has two channels in and two classes out, packed alike in both directions."""
    federation = FederationSpec(rounds=rounds, quorum=1.0, deadline_s=deadline_s, up=encoding, down=encoding)
    return Plan(
        name="bench-transport",
        sites=tuple(f"site-{number}" for number in range(1, sites + 1)),
        sequences=("t1c", "flair"),
        model=model,
        training=training,
        federation=federation,
    )


def found_federation(folder: Path, plan: Plan) -> tuple[ServerFolder, KeptPlan, tuple[IdleSite, ...]]:
    """Found it in a folder that is not there yet, enrol the plan's sites and have them approve the plan."""
    folder.mkdir(parents=True)
    server = init_federation(folder / "server", plan.name, (LOOPBACK,), free_port(), _now())
    sites = tuple(_join(server, folder / name, number) for number, name in enumerate(plan.sites))
    kept = sign_plan(server, plan, write_bundle(flower_folder(server).app), server.identity(None), _now())
    for site in sites:
        proposal = receive_plan(site.folder, open_site(site.folder), kept.envelope, _now())
        decide(site.folder, proposal, "approved", _now())
    return server, kept, sites


def _join(server: ServerFolder, path: Path, number: int) -> IdleSite:
    folder, kit = SiteFolder(path), path.with_suffix(".kit")
    request = request_enrollment(folder, path.name, _now()).file
    enroll_site(server, request, kit, _now())
    join_federation(folder, kit, compare_with(server.authority().fingerprint), _now())
    secret = path / "bench.secret"
    write_private_file(secret, secrets.token_hex(32).encode())
    data = DataSection(adapter="ucsf_bmsr", root=path)  # never read
    config = SiteConfig(data=data, folders=Folders(cache=path / "cache"))
    return IdleSite(folder, config, number, free_port(), secret)


def _now() -> datetime:
    return datetime.now(UTC)
