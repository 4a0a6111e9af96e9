"""Whatever a site refuses stands in its own audit log, with the code that the aggregator is told."""

from datetime import timedelta
from pathlib import Path

import pytest

from client.approvals import decide, find_plan
from client.desk import Desk
from common.audit import AuditRecord, read_audit
from common.errors import RefusalCode, TrustCode
from common.identity import Domain, IdentityKey
from common.wire import Envelope, ReplyBody, read_body
from server.plans import sign_plan
from server.sealing import seal_task
from tests.server.builders import make_plan, make_task
from tests.trust import DAY_0
from tests.wired import BUNDLE, Wired, wire

SITE = "north"


@pytest.fixture
def lab(tmp_path: Path) -> Wired:
    return wire(tmp_path)


def task_of(lab: Wired, round_id: int = 1, key: IdentityKey | None = None) -> Envelope:
    identity = key or lab.lab.server.identity(None)
    return seal_task(make_task(lab.plan, round_id), lab.plan, "BMFED", identity, DAY_0)[1]


def records(lab: Wired) -> list[AuditRecord]:
    return list(read_audit(lab.site(SITE).path / "audit.jsonl"))


def refused(lab: Wired, message: Envelope, bundle: str = BUNDLE, skew_s: float = 0.0) -> str | None:
    """The code that went out, once it was found in the last line of the log; nothing was begun meanwhile."""
    before = records(lab)
    desk = Desk(lab.site(SITE), lab.trainers[SITE], lambda: DAY_0 + timedelta(seconds=skew_s))
    body = read_body(ReplyBody, desk.answer(message, bundle))
    (line,) = records(lab)[len(before) :]
    assert (line.event, line.round) == ("left-the-house", body.round_id)
    assert line.details == {"body": body.model_dump(mode="json"), "payload_bytes": 0}
    assert body.outcome == "refused"
    return body.code


def test_a_strangers_task(lab: Wired) -> None:
    assert refused(lab, task_of(lab, key=IdentityKey.generate())) == TrustCode.WRONG_KEY


def test_a_changed_task_and_what_is_none(lab: Wired) -> None:
    message = task_of(lab)
    changed = Envelope(message.body.replace(b'"round_id":1', b'"round_id":2'), message.signature, message.payload)
    assert refused(lab, changed) == TrustCode.BAD_SIGNATURE
    assert refused(lab, Envelope(b"{}", message.signature)) == RefusalCode.MALFORMED


def test_another_bundle(lab: Wired) -> None:
    assert refused(lab, task_of(lab), bundle="c" * 64) == RefusalCode.OTHER_BUNDLE


def test_a_task_of_another_time(lab: Wired) -> None:
    assert refused(lab, task_of(lab), skew_s=-300.0) == RefusalCode.CLOCKS_DIFFER


def test_a_task_that_was_begun_before_and_an_earlier_round(lab: Wired) -> None:
    message = task_of(lab, 2)
    lab.desk(SITE).answer(message, BUNDLE)
    assert refused(lab, message) == RefusalCode.SEEN_BEFORE
    assert refused(lab, task_of(lab, 1)) == RefusalCode.STALE_ROUND


def test_a_plan_that_was_refused_or_never_came(lab: Wired) -> None:
    proposal = find_plan(lab.site(SITE), lab.plan.fingerprint())
    assert proposal is not None
    decide(lab.site(SITE), proposal, "refused", DAY_0)
    assert refused(lab, task_of(lab)) == RefusalCode.PLAN_REFUSED
    server = lab.lab.server
    other = sign_plan(server, make_plan(rounds=5), BUNDLE, server.identity(None), DAY_0)
    unknown = seal_task(make_task(other.plan), other.plan, "BMFED", server.identity(None), DAY_0)[1]
    assert refused(lab, unknown) == RefusalCode.WRONG_PLAN


def test_a_proposal_that_is_not_the_aggregators(lab: Wired) -> None:
    body = lab.kept.envelope.body
    lab.desk(SITE).answer(Envelope(body, IdentityKey.generate().sign(Domain.PLAN, body)), BUNDLE)
    told = records(lab)[-1].details["body"]
    assert isinstance(told, dict)
    assert (told["standing"], told["code"]) == ("refused", TrustCode.WRONG_KEY)


def test_what_is_no_message_at_all(lab: Wired) -> None:
    before = records(lab)
    desk = Desk(lab.site(SITE), lab.trainers[SITE], lambda: DAY_0)
    body = read_body(ReplyBody, desk.unreadable("no head"))
    (line,) = records(lab)[len(before) :]
    assert (body.outcome, body.code) == ("refused", RefusalCode.MALFORMED)
    assert line.details == {"body": body.model_dump(mode="json"), "payload_bytes": 0}
