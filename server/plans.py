"""Plans at the consortium: checked, signed, and kept by their fingerprint in DIR/plans/PLAN_ID/plan.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.audit import JSON
from common.config import read_toml, validate
from common.documents import read_document
from common.durable import storage_errors, write_durably
from common.errors import ConfigError, EnrollmentError
from common.identity import IdentityKey
from common.lock import exclusive
from common.plan import Plan
from common.wire import Envelope, PlanBody, SignedBody, read_body
from server.provisioning import ServerFolder
from server.sealing import seal_plan

_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """One plan of the federation.

    Attributes:
        body: what sites are asked to agree to.
        envelope: as it is proposed.
        path: of the file, which can be sent to a site by mail as well.
    """

    body: PlanBody
    envelope: Envelope
    path: Path

    @property
    def plan(self) -> Plan:
        """The plan itself."""
        return self.body.plan


def read_plan(path: Path) -> Plan:
    """Read a plan.toml: the sections of an experiment file that are agreed on, and `sites`.

    Raises:
        ConfigError: one line with every fault found, or a network that cannot be built or fed.
    """
    from common.model.build import check_patch_size, new_network  # torch takes seconds; here alone it is needed

    plan = validate(Plan, read_toml(path), str(path))
    try:
        check_patch_size(plan.model, plan.training.patch_size)
        new_network(plan)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return plan


def sign_plan(
    folder: ServerFolder, plan: Plan, bundle_sha256: str, identity: IdentityKey, now: datetime
) -> KeptPlan:
    """Sign a plan and keep it; signing it again, after a rotation say, changes nothing but the signature.

    The log is written first: cut off in between, there is no plan, and the same command makes it.

    Raises:
        AuditBroken: the federation's log does not hold; nothing is signed.
        EnrollmentError: a site of the plan is not enrolled here, or not active.
    """
    known: Mapping[str, str] = {entry.name: entry.status for entry in folder.registry.all()}
    wrong = [f"{site} ({known.get(site, 'not enrolled')})" for site in plan.sites if known.get(site) != "active"]
    if wrong:
        raise EnrollmentError(
            f"plan '{plan.name}': sites that cannot take part: {', '.join(wrong)}; enrol them first"
        )
    body = PlanBody(
        federation=folder.federation.name,
        plan=plan,
        bundle_sha256=bundle_sha256,
        proposed_at=now,
        rotations=folder.rotations(),
    )
    details: dict[str, JSON] = {"plan_id": body.plan_id, "name": plan.name, "bundle_sha256": bundle_sha256}
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now).record("plan-signed", None, details)
    envelope = seal_plan(body, identity)
    place = plans_folder(folder) / body.plan_id
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    write_durably(place / "plan.json", f"{SignedBody.of(envelope).to_json()}\n".encode())
    return KeptPlan(body, envelope, place / "plan.json")


def plans_folder(folder: ServerFolder) -> Path:
    """Where the plans lie."""
    return folder.path / "plans"


def all_plans(folder: ServerFolder) -> tuple[KeptPlan, ...]:
    """Every plan of the federation, in the order of signing."""
    found = [_open(path) for path in plans_folder(folder).glob("*/plan.json")]
    return tuple(sorted(found, key=lambda kept: (kept.body.proposed_at, kept.body.plan_id)))


def pick_plan(folder: ServerFolder, plan_id: str) -> KeptPlan:
    """The one plan whose id begins so; raises EnrollmentError when there is none, or several."""
    plans = all_plans(folder)
    found = [kept for kept in plans if kept.body.plan_id.startswith(plan_id)]
    if len(found) != 1 or not plan_id:
        known = ", ".join(f"{kept.body.plan_id[:12]} ({kept.plan.name})" for kept in plans) or "none"
        raise EnrollmentError(f"{folder.path}: {len(found)} plans begin with '{plan_id}'; signed here: {known}")
    return found[0]


def _open(path: Path) -> KeptPlan:
    envelope = read_document(SignedBody, path, "a signed plan").envelope()
    return KeptPlan(read_body(PlanBody, envelope), envelope, path)
