"""The desk at which every message from the aggregator is looked at, and over which every answer leaves.

A task is worked on only if all of this holds, in this order: the aggregator that this site joined signed it; a
person here approved its plan; the app bundle of the run is the plan's; its nonce is new and its time is now. Any
other gets a code. Whatever leaves is signed, and stands in the audit log before it leaves.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from client.approvals import Proposal, all_plans, find_plan, receive_plan
from client.freshness import begin_task
from client.journal import note
from client.server_trust import follow_published, open_site
from client.site_folder import SiteFolder
from common.audit import JSON
from common.compression import decode, encode
from common.durable import storage_errors, write_durably
from common.errors import (
    EnrollmentError,
    FailureCode,
    RefusalCode,
    SiteRefusal,
    StorageError,
    TrustCode,
    TrustError,
    WireError,
)
from common.identity import Domain
from common.plan import Plan
from common.protocol import SiteAnswer, SiteFailed, SiteRefused, SiteUpdate, TrainTask
from common.rotation import Rotation, Rotations
from common.sealed import Passphrase
from common.weights import Weights, size_of
from common.wire import (
    Envelope,
    PlanBody,
    ReleaseBody,
    ReplyBody,
    StandingBody,
    TaskBody,
    describe,
    kind_of,
    read_body,
)

log = logging.getLogger(__name__)
_NO_TASK = "0" * 32
_NO_PLAN = "0" * 64


class Trains(Protocol):
    """Whoever trains: a child process at a hospital, a function call in a simulation."""

    def train(self, task: TrainTask, plan: Plan, deadline_s: float) -> SiteAnswer:
        """Work on a task that was admitted; lost work is a SiteFailed, not an exception."""
        ...


class Desk:
    """One hospital's desk.

    Args:
        folder: keys, kit, plans and the audit log; read anew for every message, since a person may change them.
        trainer: who does the work.
        clock: this machine's time.
        passphrase: of the identity key.
    """

    def __init__(
        self,
        folder: SiteFolder,
        trainer: Trains,
        clock: Callable[[], datetime],
        passphrase: Passphrase | None = None,
    ) -> None:
        self._folder, self._trainer, self._clock, self._passphrase = folder, trainer, clock, passphrase
        self._trust = open_site(folder, passphrase)  # a site that has not joined is told so now

    def answer(self, message: Envelope, bundle_sha256: str) -> Envelope:
        """Look at a message, do what it asks for if it may, and give the signed answer, which is on record.

        Args:
            message: as it came.
            bundle_sha256: of the app bundle that Flower delivered with it.

        Raises:
            FedmetsError: the site's own folder cannot be read or written any more; nothing is answered then.
        """
        self._trust = open_site(self._folder, self._passphrase)
        try:
            kind = kind_of(message)
        except WireError as error:
            log.warning("a message is refused: %s", error)
            return self._refuse(RefusalCode.MALFORMED, None, str(error))
        if kind == "plan":
            return self._answer_plan(message)
        if kind == "release":
            return self._store_release(message)
        return self._answer_task(message, bundle_sha256)

    def approved(self) -> tuple[Plan, ...]:
        """The plans that may be worked on, in order of their proposal."""
        return tuple(proposal.plan for proposal in all_plans(self._folder) if proposal.standing == "approved")

    def failed(self, message: Envelope, code: FailureCode) -> Envelope:
        """The signed answer to a task whose work was lost outside the trainer, as when the daemon is stopped."""
        body = self._read(TaskBody, message)
        return self._reply(SiteFailed(self._site, body.round_id if body else 0, code), body)

    def unreadable(self, text: str) -> Envelope:
        """The signed refusal of what came in the place of a message, on record; `text`, for the log, says why."""
        self._trust = open_site(self._folder, self._passphrase)
        return self._refuse(RefusalCode.MALFORMED, None, text)

    def _answer_task(self, message: Envelope, bundle_sha256: str) -> Envelope:
        body = self._read(TaskBody, message)
        if body is None:
            return self._refuse(RefusalCode.MALFORMED, None, "not a task")
        try:
            plan = self._admit(body, message, bundle_sha256)
            weights = _weights_in(body, message)
        except TrustError as error:
            return self._refuse(error.code, body, str(error))
        except SiteRefusal as refusal:
            return self._refuse(refusal.code, body, str(refusal))
        task = TrainTask(body.plan_id, body.round_id, weights)
        return self._reply(self._trainer.train(task, plan, plan.federation.deadline_s), body, plan)

    def _admit(self, body: TaskBody, message: Envelope, bundle_sha256: str) -> Plan:
        """The order below is the argument of docs/threat-model.md: do not reorder."""
        now = self._clock()
        self._follow(body.rotations, now)
        self._trust.verify_aggregator(Domain.TASK, message.body, message.signature, now)
        proposal = find_plan(self._folder, body.plan_id)
        if proposal is None or body.federation != self._trust.kit.federation:
            raise SiteRefusal(
                RefusalCode.WRONG_PLAN, self._site, f"plan {body.plan_id[:12]} was never proposed here"
            )
        if proposal.standing != "approved":
            refused = proposal.standing == "refused"
            raise SiteRefusal(
                RefusalCode.PLAN_REFUSED if refused else RefusalCode.NOT_APPROVED,
                self._site,
                f"plan '{proposal.plan.name}' is {proposal.standing} here; "
                f"fedmets-site approve {self._folder.path} {body.plan_id[:12]} would change that",
            )
        if bundle_sha256 != proposal.body.bundle_sha256:
            raise SiteRefusal(
                RefusalCode.OTHER_BUNDLE,
                self._site,
                f"the run's app bundle is {bundle_sha256[:12]}, the approved plan names "
                f"{proposal.body.bundle_sha256[:12]}",
            )
        begin_task(body, proposal.folder, self._site, now)
        details: dict[str, JSON] = {"plan_id": body.plan_id, "nonce": body.nonce}
        note(self._folder, now, "task-begun", body.round_id, details)
        return proposal.plan

    def _answer_plan(self, message: Envelope) -> Envelope:
        now, plan_id = self._clock(), _NO_PLAN
        try:
            body = read_body(PlanBody, message)
            plan_id = body.plan_id
            self._follow(body.rotations, now)
            proposal = receive_plan(self._folder, self._trust, message, now)
        except TrustError as error:
            return self._stand(plan_id, "refused", error.code, str(error))
        except EnrollmentError as error:
            return self._stand(plan_id, "refused", RefusalCode.WRONG_PLAN, str(error))
        except WireError as error:
            return self._stand(plan_id, "refused", RefusalCode.MALFORMED, str(error))
        return self._stand(plan_id, proposal.standing)

    def _store_release(self, message: Envelope) -> Envelope:
        """Keep a released model until a person fetches it; it is verified again then."""
        now, plan_id = self._clock(), _NO_PLAN
        try:
            body = read_body(ReleaseBody, message)
            plan_id = body.plan_id
            self._follow(body.rotations, now)
            self._trust.verify_aggregator(Domain.RELEASE, message.body, message.signature, now)
            proposal = find_plan(self._folder, plan_id)
            if proposal is None or proposal.standing != "approved":
                return self._stand(plan_id, "refused", RefusalCode.NOT_APPROVED, "a release of another plan")
        except TrustError as error:
            return self._stand(plan_id, "refused", error.code, str(error))
        except WireError as error:
            return self._stand(plan_id, "refused", RefusalCode.MALFORMED, str(error))
        _keep_release(proposal, message)
        note(self._folder, now, "release-received", None, {"plan_id": plan_id, "sha256": body.payload.sha256})
        return self._stand(plan_id, "stored")

    @property
    def _site(self) -> str:
        return self._trust.kit.site

    def _follow(self, rotations: Sequence[Rotation], now: datetime) -> None:
        """Believe a newer identity of the aggregator where the one believed leads to it."""
        if rotations and rotations[-1].body.generation > self._trust.aggregator.generation:
            follow_published(self._folder, Rotations(rotations=tuple(rotations)), now)
            self._trust = open_site(self._folder, self._passphrase)

    def _read(self, kind: type[TaskBody], message: Envelope) -> TaskBody | None:
        try:
            return read_body(kind, message)
        except WireError as error:
            log.warning("a message is refused: %s", error)
            return None

    def _refuse(self, code: RefusalCode | TrustCode, body: TaskBody | None, text: str) -> Envelope:
        log.warning("refused: %s", text)
        return self._reply(SiteRefused(self._site, body.round_id if body else 0, code), body)

    def _reply(self, reply: SiteAnswer, task: TaskBody | None, plan: Plan | None = None) -> Envelope:
        payload = b""
        update = reply if isinstance(reply, SiteUpdate) and plan is not None else None
        if update is not None and plan is not None:
            payload = encode(update.delta.vector, plan.federation.up)
        body = ReplyBody(
            federation=self._trust.kit.federation,
            site=self._site,
            plan_id=task.plan_id if task else _NO_PLAN,
            round_id=reply.round_id,
            nonce=task.nonce if task else _NO_TASK,
            outcome=_OUTCOMES[type(reply)],
            code=None if isinstance(reply, SiteUpdate) else reply.code,
            report=update.report if update else None,
            encoding=plan.federation.up if update and plan else None,
            payload=describe(payload) if update else None,
        )
        return self._send(body, Domain.UPDATE, payload, reply.round_id)

    def _stand(
        self,
        plan_id: str,
        standing: Literal["waiting", "approved", "refused", "stored"],
        code: RefusalCode | TrustCode | None = None,
        text: str = "",
    ) -> Envelope:
        if text:
            log.warning("refused: %s", text)
        body = StandingBody(
            federation=self._trust.kit.federation, site=self._site, plan_id=plan_id, standing=standing, code=code
        )
        return self._send(body, Domain.STANDING, b"", None)

    def _send(
        self, body: ReplyBody | StandingBody, domain: Domain, payload: bytes, round_id: int | None
    ) -> Envelope:
        """Sign, and write down what leaves before it does: the whole text, and size and sha256 of the update.

        Without room on the disk for that line no update leaves; a bare code does, or the aggregator would never
        learn why.
        """
        data = body.to_json().encode()
        details: dict[str, JSON] = {"body": body.model_dump(mode="json"), "payload_bytes": len(payload)}
        try:
            note(self._folder, self._clock(), "left-the-house", round_id, details)
        except StorageError:
            if payload:
                raise
            log.exception("what leaves now could not be written down: %s", data.decode())
        return Envelope(data, self._trust.sign(domain, data), payload)


_OUTCOMES: Mapping[type[SiteAnswer], Literal["update", "refused", "failed"]] = {
    SiteUpdate: "update",
    SiteRefused: "refused",
    SiteFailed: "failed",
}


def _weights_in(body: TaskBody, message: Envelope) -> Weights:
    try:
        return Weights(body.layout, decode(message.payload, body.encoding, size_of(body.layout)))
    except WireError as error:
        raise SiteRefusal(RefusalCode.MALFORMED, "here", str(error)) from None


def _keep_release(proposal: Proposal, message: Envelope) -> None:
    inbox: Path = proposal.folder / "release"
    with storage_errors(inbox):
        inbox.mkdir(exist_ok=True)
    write_durably(inbox / "model.safetensors", bytes(message.payload))
    write_durably(inbox / "body.json", message.body)
    write_durably(inbox / "signature.json", message.signature.to_json().encode())  # last: it completes the three
