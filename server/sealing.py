"""Tasks under the aggregator's signature, and what comes back in a site's name: believed, or told why not."""

from datetime import datetime, timedelta

from common.compression import decode, encode
from common.errors import FailureCode, RefusalCode, TrustCode, TrustError, UpdateCode, WireError
from common.identity import Domain, IdentityKey
from common.plan import Plan
from common.protocol import SiteFailed, SiteRefused, SiteReply, SiteUntrusted, SiteUpdate, TrainTask
from common.rotation import Rotation
from common.weights import Weights, size_of
from common.wire import Envelope, PlanBody, ReplyBody, TaskBody, describe, new_nonce, read_body
from server.provisioning import ServerFolder
from server.site_trust import verify_site


def seal_plan(body: PlanBody, identity: IdentityKey) -> Envelope:
    """A plan as it is proposed to the sites."""
    data = body.to_json().encode()
    return Envelope(data, identity.sign(Domain.PLAN, data))


def seal_task(
    task: TrainTask,
    plan: Plan,
    federation: str,
    identity: IdentityKey,
    now: datetime,
    rotations: tuple[Rotation, ...] = (),
) -> tuple[TaskBody, Envelope]:
    """A round's task as it is sent, the same to every site; its nonce is new with every call."""
    payload = encode(task.weights.vector, plan.federation.down)
    body = TaskBody(
        federation=federation,
        plan_id=task.plan_id,
        round_id=task.round_id,
        nonce=new_nonce(),
        issued_at=now,
        answer_by=now + timedelta(seconds=plan.federation.deadline_s),
        layout=task.weights.layout,
        encoding=plan.federation.down,
        payload=describe(payload),
        rotations=rotations,
    )
    data = body.to_json().encode()
    return body, Envelope(data, identity.sign(Domain.TASK, data), payload)


def open_reply(
    envelope: Envelope, task: TaskBody, site: str, plan: Plan, folder: ServerFolder, now: datetime
) -> SiteReply:
    """What came from a site's node, as a reply that the round can use.

    The signature is looked at before anything in the message: it must be this site's own, of now. Then the reply
    must be to this very task, whose nonce it repeats, so that an earlier round's update cannot be sent again.
    """
    try:
        verify_site(folder, site, Domain.UPDATE, envelope.body, envelope.signature, now)
        body = read_body(ReplyBody, envelope)
        if (body.site, body.federation) != (site, task.federation):
            raise TrustError(TrustCode.WRONG_NAME, f"signed by {site}, and speaks for '{body.site}'")
        if body.nonce != task.nonce:
            detail = f"it answers the task {body.nonce[:8]}… of round {body.round_id}, not {task.nonce[:8]}…"
            return _untrusted(site, task, UpdateCode.OTHER_TASK, detail, envelope)
        return _as_reply(body, envelope, task, plan)
    except TrustError as error:
        return _untrusted(site, task, error.code, str(error), envelope)
    except WireError as error:
        return _untrusted(site, task, UpdateCode.MALFORMED_REPLY, str(error), envelope)


def _as_reply(body: ReplyBody, envelope: Envelope, task: TaskBody, plan: Plan) -> SiteReply:
    match body.outcome, body.code:
        case "refused", RefusalCode() | TrustCode() as refusal:
            return SiteRefused(body.site, body.round_id, refusal)
        case "failed", FailureCode() as failure:
            return SiteFailed(body.site, body.round_id, failure)
        case "update", None if body.report is not None and body.encoding == plan.federation.up:
            try:
                vector = decode(envelope.payload, plan.federation.up, size_of(task.layout))
            except WireError as error:
                return _untrusted(body.site, task, UpdateCode.WRONG_LAYOUT, str(error), envelope)
            delta = Weights(task.layout, vector)
            return SiteUpdate(body.site, body.plan_id, body.round_id, delta, body.report)
    raise WireError(f"a reply of {body.site} whose parts do not belong together ({body.outcome}, {body.code})")


def _untrusted(
    site: str, task: TaskBody, code: UpdateCode | TrustCode, detail: str, envelope: Envelope
) -> SiteUntrusted:
    return SiteUntrusted(site, task.round_id, code, detail, len(envelope.payload))
