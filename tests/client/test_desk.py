"""What a hospital's desk lets through, what it turns away and with which code, and what it writes down."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from client.approvals import decide, find_plan
from client.desk import Desk
from client.round import answer
from client.site import Site
from common.audit import read_audit
from common.errors import EnrollmentError, FailureCode, RefusalCode, TrustCode
from common.identity import Domain, IdentityKey
from common.plan import Plan
from common.protocol import SiteAnswer, TrainTask
from common.wire import Envelope, ReplyBody, StandingBody, TaskBody, read_body
from server.plans import sign_plan
from server.rotation import rotate_server
from server.sealing import seal_task
from tests.server.builders import make_plan, make_task
from tests.trust import DAY_0, day
from tests.wired import BUNDLE, HandTrainer, Wired, propose, wire


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Wired:
    return wire(tmp_path_factory.mktemp("desk"), make_plan())


def task_of(lab: Wired, round_id: int = 1, now: datetime = DAY_0, key: IdentityKey | None = None) -> Envelope:
    server = lab.lab.server
    identity = key or server.identity(None)
    return seal_task(make_task(lab.plan, round_id), lab.plan, "BMFED", identity, now, server.rotations())[1]


def reply_of(lab: Wired, site: str, message: Envelope, bundle: str = BUNDLE, now: datetime = DAY_0) -> ReplyBody:
    """The answer's body, whose signature is the site's."""
    answered = Desk(lab.site(site), lab.trainers[site], lambda: now).answer(message, bundle)
    return read_body(ReplyBody, answered)


def test_a_task_that_is_signed_approved_and_fresh_is_worked_on(lab: Wired) -> None:
    body = reply_of(lab, "north", task_of(lab))
    assert (body.outcome, body.code, body.site, body.round_id) == ("update", None, "north", 1)
    begun, left = list(read_audit(lab.site("north").path / "audit.jsonl"))[-2:]
    assert (begun.event, left.event) == ("task-begun", "left-the-house")
    assert left.details == {"body": json.loads(body.to_json()), "payload_bytes": 12}


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (DAY_0 + timedelta(seconds=200), None),
        (DAY_0 - timedelta(seconds=200), None),
        (DAY_0 - timedelta(seconds=300), RefusalCode.CLOCKS_DIFFER),
        (DAY_0 + timedelta(seconds=3600 + 300), RefusalCode.CLOCKS_DIFFER),
        (day(2000), TrustCode.EXPIRED),
    ],
)
def test_a_task_of_another_time_is_refused(lab: Wired, now: datetime, code: RefusalCode | None) -> None:
    assert reply_of(lab, "south", task_of(lab), now=now).code == code


def test_a_task_sent_twice_is_refused_and_a_new_one_of_the_same_round_is_not(lab: Wired) -> None:
    message = task_of(lab, 2)
    assert reply_of(lab, "east", message).outcome == "update"
    assert reply_of(lab, "east", message).code is RefusalCode.SEEN_BEFORE
    assert reply_of(lab, "east", task_of(lab, 2)).outcome == "update"  # after a crash in mid-round


def test_an_earlier_round_is_refused_until_a_person_approves_again(lab: Wired) -> None:
    assert reply_of(lab, "west", task_of(lab, 3)).outcome == "update"
    assert reply_of(lab, "west", task_of(lab, 1)).code is RefusalCode.STALE_ROUND
    proposal = find_plan(lab.site("west"), lab.plan.fingerprint())
    assert proposal is not None
    decide(lab.site("west"), proposal, "approved", DAY_0)
    assert reply_of(lab, "west", task_of(lab, 1)).outcome == "update"


def test_what_a_stranger_signed_is_refused_and_nothing_is_trained(lab: Wired) -> None:
    before = len(lab.trainers["north"].tasks)
    assert reply_of(lab, "north", task_of(lab, key=IdentityKey.generate())).code is TrustCode.WRONG_KEY
    assert len(lab.trainers["north"].tasks) == before


def test_a_task_changed_on_the_way_is_refused(lab: Wired) -> None:
    message = task_of(lab)
    later = read_body(TaskBody, message).model_copy(update={"round_id": 2}).to_json().encode()
    assert (
        reply_of(lab, "north", Envelope(later, message.signature, message.payload)).code is TrustCode.BAD_SIGNATURE
    )
    other = Envelope(message.body, message.signature, bytes(len(message.payload)))
    assert reply_of(lab, "north", other).code is RefusalCode.MALFORMED
    garbage = Envelope(b"{}", message.signature)
    assert reply_of(lab, "north", garbage).code is RefusalCode.MALFORMED


def test_another_app_bundle_than_the_plans_is_refused(lab: Wired) -> None:
    assert reply_of(lab, "north", task_of(lab), bundle="c" * 64).code is RefusalCode.OTHER_BUNDLE


def test_nothing_runs_that_no_person_approved(tmp_path: Path) -> None:
    lab = wire(tmp_path, approve=False)
    assert reply_of(lab, "north", task_of(lab)).code is RefusalCode.NOT_APPROVED
    proposal = find_plan(lab.site("north"), lab.plan.fingerprint())
    assert proposal is not None and proposal.standing == "waiting"
    decide(lab.site("north"), proposal, "refused", DAY_0)
    assert reply_of(lab, "north", task_of(lab)).code is RefusalCode.PLAN_REFUSED
    other = sign_plan(lab.lab.server, make_plan(rounds=5), BUNDLE, lab.lab.server.identity(None), DAY_0)
    unknown = seal_task(make_task(other.plan), other.plan, "BMFED", lab.lab.server.identity(None), DAY_0)[1]
    assert reply_of(lab, "north", unknown).code is RefusalCode.WRONG_PLAN
    assert lab.trainers["north"].tasks == []


def standing_of(lab: Wired, site: str, message: Envelope) -> StandingBody:
    return read_body(StandingBody, lab.desk(site).answer(message, BUNDLE))


def test_a_proposal_waits_for_a_person_and_a_forged_one_is_not_kept(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    plan = make_plan(rounds=5)
    kept = sign_plan(lab.lab.server, plan, BUNDLE, lab.lab.server.identity(None), DAY_0)
    assert standing_of(lab, "north", kept.envelope).standing == "waiting"
    forged = Envelope(kept.envelope.body, IdentityKey.generate().sign(Domain.PLAN, kept.envelope.body))
    told = standing_of(lab, "south", forged)
    assert (told.standing, told.code) == ("refused", TrustCode.WRONG_KEY)
    assert find_plan(lab.site("south"), plan.fingerprint()) is None


def test_approval_is_of_one_bundle(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    again = sign_plan(lab.lab.server, lab.plan, "c" * 64, lab.lab.server.identity(None), DAY_0)
    assert standing_of(lab, "north", lab.kept.envelope).standing == "approved"
    assert standing_of(lab, "north", again.envelope).standing == "waiting"


def test_a_rotated_aggregator_is_followed_by_the_task_itself(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    old = lab.lab.server.identity(None)
    rotate_server(lab.lab.server, day(1))
    assert reply_of(lab, "north", task_of(lab, now=day(1)), now=day(1)).outcome == "update"
    assert [record.event for record in read_audit(lab.site("north").path / "audit.jsonl")].count(
        "aggregator-rotated"
    ) == 1
    assert reply_of(lab, "north", task_of(lab, 2, day(1), old), now=day(1)).code is TrustCode.WRONG_KEY


def test_the_text_of_an_exception_stays_in_the_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patient's name and a path, deep in the training code: neither is in what leaves, log of it included."""
    lab = wire(tmp_path)
    secret = "/data/MUELLER^HANS/t1c.nii.gz"

    def explode(*arguments: object) -> None:
        raise RuntimeError(f"cannot warp {secret}")

    monkeypatch.setattr("client.round.admit", explode)

    def train(site: str, task: TrainTask) -> SiteAnswer:
        return answer(task, Site(site, lab.plan, (), (), (), {}, None))  # type: ignore[arg-type]

    desk = Desk(lab.site("north"), HandTrainer("north", train), lambda: DAY_0)
    sent = desk.answer(task_of(lab), BUNDLE)
    assert read_body(ReplyBody, sent).code is FailureCode.TRAINING_ERROR
    everything = sent.body + bytes(sent.payload) + (lab.site("north").path / "audit.jsonl").read_bytes()
    assert b"MUELLER" not in everything and b"t1c.nii" not in everything


def test_without_room_for_the_log_a_code_leaves_and_an_update_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.errors import StorageError

    lab = wire(tmp_path)

    def full(folder: object, now: object, event: str, *rest: object) -> None:
        if event == "left-the-house":
            raise StorageError("the disk is full")

    monkeypatch.setattr("client.desk.note", full)
    with pytest.raises(StorageError, match="disk is full"):
        lab.desk("north").answer(task_of(lab), BUNDLE)
    failed = read_body(ReplyBody, lab.desk("north").failed(task_of(lab), FailureCode.DISK_FULL))
    assert (failed.outcome, failed.code) == ("failed", FailureCode.DISK_FULL)


def test_a_plan_for_others_is_not_taken(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    without: Plan = make_plan().model_copy(update={"sites": ("south", "east")})
    kept = sign_plan(lab.lab.server, without, BUNDLE, lab.lab.server.identity(None), DAY_0)
    with pytest.raises(EnrollmentError, match="is for south, east; this is 'north'"):
        propose(lab.site("north"), kept.envelope)
    told = standing_of(lab, "north", kept.envelope)
    assert (told.standing, told.code) == ("refused", RefusalCode.WRONG_PLAN)
