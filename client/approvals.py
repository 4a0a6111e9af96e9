"""Plans at a hospital: as they were proposed, and what a person here decided about each.

SITE_DIR/plans/PLAN_ID/
  plan.json      the proposal, with the aggregator's signature
  decision.json  approved or refused, and when; not there while nobody has decided
  tasks.json     the tasks of this plan that were begun (client/freshness.py)
  cases.json     the cases that the plan began with (client/case_list.py)
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import AwareDatetime

from client.case_list import forget_cases
from client.freshness import forget_rounds
from client.journal import note
from client.server_trust import SiteTrust
from client.site_folder import SiteFolder
from common.documents import read_document
from common.durable import storage_errors, write_durably
from common.errors import EnrollmentError, WireError
from common.identity import Domain
from common.plan import Plan
from common.schema import Frozen
from common.wire import Envelope, PlanBody, SignedBody, read_body

Standing: TypeAlias = Literal["waiting", "approved", "refused"]


class Decision(Frozen):
    """What a person at the site decided."""

    standing: Literal["approved", "refused"]
    decided_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """One plan at this site.

    Attributes:
        body: what is proposed.
        standing: what was decided about it; it waits where the decision cannot be read any more.
        folder: SITE_DIR/plans/PLAN_ID.
        damage: what is wrong with the decision's file and what to do; empty as a rule.
    """

    body: PlanBody
    standing: Standing
    folder: Path
    damage: str = ""

    @property
    def plan(self) -> Plan:
        """The plan itself."""
        return self.body.plan

    @property
    def plan_id(self) -> str:
        """The plan's fingerprint."""
        return self.body.plan_id


@dataclass(frozen=True, slots=True)
class DamagedPlan:
    """A proposal that cannot be read any more; no task of it is worked on.

    Attributes:
        plan_id: the plan's fingerprint.
        damage: what is wrong and what to do.
    """

    plan_id: str
    damage: str


def plans_folder(folder: SiteFolder) -> Path:
    """Where the proposals lie."""
    return folder.path / "plans"


def receive_plan(folder: SiteFolder, trust: SiteTrust, proposal: Envelope, now: datetime) -> Proposal:
    """Keep a proposed plan, if it is the aggregator's; nothing is decided by that.

    Raises:
        TrustError: not signed by the aggregator that this site joined.
        WireError: not a proposal.
        EnrollmentError: for another federation, or this site is not in the plan.
    """
    trust.verify_aggregator(Domain.PLAN, proposal.body, proposal.signature, now)
    body = read_body(PlanBody, proposal)
    kit = trust.kit
    if body.federation != kit.federation or kit.site not in body.plan.sites:
        raise EnrollmentError(
            f"plan '{body.plan.name}' of '{body.federation}' is for {', '.join(body.plan.sites)}; this is "
            f"'{kit.site}' of '{kit.federation}'"
        )
    place = plans_folder(folder) / body.plan_id
    known = _undamaged(folder, body.plan_id)
    if known is not None and known.body.bundle_sha256 == body.bundle_sha256:
        return known
    with storage_errors(place):
        plans_folder(folder).mkdir(mode=0o700, exist_ok=True)  # the list of a plan's cases will lie there
        place.mkdir(exist_ok=True)
        (place / "decision.json").unlink(missing_ok=True)  # of another bundle, or of a proposal that is damaged
    signed = SignedBody.of(proposal)
    write_durably(place / "plan.json", f"{signed.to_json()}\n".encode())
    note(folder, now, "plan-proposed", None, {"plan_id": body.plan_id, "name": body.plan.name})
    return Proposal(body, "waiting", place)


def find_plan(folder: SiteFolder, plan_id: str) -> Proposal | None:
    """The proposal with this id; None when it never came. Raises EnrollmentError when it is damaged."""
    place = plans_folder(folder) / plan_id
    if not (place / "plan.json").is_file():
        return None
    try:
        body = read_body(PlanBody, read_document(SignedBody, place / "plan.json", "a proposed plan").envelope())
    except (EnrollmentError, WireError):
        raise EnrollmentError(
            f"{place / 'plan.json'}: cannot be read as a proposed plan; ask the consortium for its plan.json, and "
            f"run fedmets-site approve {folder.path} plan.json, which keeps it and asks anew"
        ) from None
    try:
        standing: Standing = "waiting"
        if (place / "decision.json").is_file():
            standing = read_document(Decision, place / "decision.json", "a decision").standing
    except EnrollmentError:
        damage = (
            f"{place / 'decision.json'}: cannot be read as a decision, so that the plan waits; decide again with "
            f"fedmets-site approve {folder.path} {plan_id[:12]}, or refuse"
        )
        return Proposal(body, "waiting", place, damage)
    return Proposal(body, standing, place)


def all_plans(folder: SiteFolder) -> tuple[Proposal, ...]:
    """Every proposal that can be read, in order of arrival by the server's clock."""
    found = [proposal for plan_id in _ids(folder) if (proposal := _undamaged(folder, plan_id)) is not None]
    return tuple(sorted(found, key=lambda proposal: proposal.body.proposed_at))


def damaged_plans(folder: SiteFolder) -> tuple[DamagedPlan, ...]:
    """Every plan here of which the proposal or the decision cannot be read, in order of their ids."""
    found: list[DamagedPlan] = []
    for plan_id in _ids(folder):
        try:
            proposal = find_plan(folder, plan_id)
        except EnrollmentError as error:
            found.append(DamagedPlan(plan_id, str(error)))
        else:
            if proposal is not None and proposal.damage:
                found.append(DamagedPlan(plan_id, proposal.damage))
    return tuple(found)


def _ids(folder: SiteFolder) -> list[str]:
    return sorted(path.parent.name for path in plans_folder(folder).glob("*/plan.json"))


def _undamaged(folder: SiteFolder, plan_id: str) -> Proposal | None:
    try:
        return find_plan(folder, plan_id)
    except EnrollmentError:
        return None


def pick_plan(folder: SiteFolder, plan_id: str) -> Proposal:
    """The one proposal whose id begins so; raises EnrollmentError when there is none, several or a damaged one."""
    found = [proposal for proposal in all_plans(folder) if proposal.plan_id.startswith(plan_id)]
    damaged = [one for one in damaged_plans(folder) if one.plan_id.startswith(plan_id)]
    if plan_id and not found and len(damaged) == 1:
        raise EnrollmentError(damaged[0].damage)
    if len(found) != 1 or not plan_id:
        known = ", ".join(proposal.plan_id[:12] for proposal in all_plans(folder)) or "none"
        raise EnrollmentError(f"{folder.path}: {len(found)} plans begin with '{plan_id}'; known here: {known}")
    return found[0]


def decide(
    folder: SiteFolder, proposal: Proposal, standing: Literal["approved", "refused"], now: datetime
) -> None:
    """Put a person's decision on disk; it can be changed at any time, and counts from the next task on.

    Approving also forgets which rounds were asked for, so that a consortium that had to go back to an older
    round can be followed after all: a person decides that, no message does. Nor is the plan held any longer to
    the cases that it began with.
    """
    decision = Decision(standing=standing, decided_at=now)
    forget_rounds(proposal.folder)
    forget_cases(proposal.folder)
    write_durably(proposal.folder / "decision.json", f"{decision.to_json()}\n".encode())
    note(folder, now, f"plan-{standing}", None, {"plan_id": proposal.plan_id, "name": proposal.plan.name})
