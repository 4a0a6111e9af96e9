"""Signed tasks and answers, over a grid in memory: who is believed, and what a lie costs."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict

from common.errors import FailureCode, RefusalCode, TrustCode, UpdateCode
from common.flower import from_record, to_record
from common.identity import Domain
from common.protocol import SiteAnswer, SiteFailed, SiteRefused, SiteReply, SiteUntrusted, SiteUpdate, TrainTask
from common.wire import Envelope, ReplyBody, describe, read_body
from server.flower_link import FlowerLink
from server.records import Outcome, RunStatus
from server.registry import Status
from server.rounds import initial_weights, run_federation
from server.standing import set_standing
from tests.server.builders import make_plan, make_task, make_update, open_run
from tests.trust import DAY_0, day
from tests.wired import DeskGrid, Wired, wire


def replies(lab: Wired, task: TrainTask | None = None) -> dict[str, SiteReply]:
    task = task or make_task(lab.plan)
    return {reply.site: reply for reply in lab.link().train(lab.plan.sites, task, 30.0)}


def test_a_round_over_the_wire_brings_the_very_updates_of_a_round_without_one(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    task = make_task(lab.plan)
    for site, reply in replies(lab, task).items():
        assert isinstance(reply, SiteUpdate)
        assert np.array_equal(reply.delta.vector, make_update(site, task).delta.vector)
        assert reply.report == make_update(site, task).report
    assert [trainer.tasks[0].weights.layout for trainer in lab.trainers.values()] == 4 * [task.weights.layout]


@pytest.mark.parametrize(("up", "down", "bytes_up"), [("float16", "float16", 2), ("int8", "int8", 1)])
def test_lossy_encodings_arrive_as_the_sender_knew_they_would(
    tmp_path: Path, up: str, down: str, bytes_up: int
) -> None:
    plan = make_plan(up=up, down=down)
    lab = wire(tmp_path, plan)
    task = make_task(plan, weights=initial_weights(plan))
    reply = replies(lab, task)["north"]
    assert isinstance(reply, SiteUpdate)
    assert reply.delta.vector.size == task.weights.vector.size
    payload = from_record(lab.grid.sent[0]).payload
    assert len(payload) < (bytes_up + 0.1) * task.weights.vector.size


def test_whole_run_over_the_wire_completes(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    for trainer in lab.trainers.values():
        trainer.reply = lambda site, task: make_update(site, task, scale=1e-4)
    result = run_federation(open_run(lab.plan, tmp_path / "run"), lab.link(), lambda record: None)
    assert result.status is RunStatus.COMPLETED
    assert all(site.outcome is Outcome.ACCEPTED for record in result.history for site in record.sites)


def changed(record: RecordDict, **body: object) -> RecordDict:
    """The same message with its body changed and the old signature."""
    envelope = from_record(record)
    text = read_body(ReplyBody, envelope).model_copy(update=body).to_json().encode()
    return to_record(Envelope(text, envelope.signature, envelope.payload))


def other_payload(record: RecordDict) -> RecordDict:
    envelope = from_record(record)
    return to_record(Envelope(envelope.body, envelope.signature, bytes(len(envelope.payload))))


def unknown_array(record: RecordDict) -> RecordDict:
    arrays = ArrayRecord({"payload": Array("x", (1,), "y", b"z"), "extra": Array("x", (1,), "y", b"z")})
    return RecordDict({"fedmets": record["fedmets"], "fedmets-payload": arrays})


@pytest.mark.parametrize(
    ("meddle", "code"),
    [
        (lambda record: changed(record, round_id=9), TrustCode.BAD_SIGNATURE),
        (lambda record: changed(record, site="south"), TrustCode.BAD_SIGNATURE),
        (other_payload, UpdateCode.MALFORMED_REPLY),
        (unknown_array, UpdateCode.MALFORMED_REPLY),
        (lambda record: RecordDict({}), UpdateCode.MALFORMED_REPLY),
    ],
)
def test_a_message_changed_on_the_way_is_not_believed(tmp_path: Path, meddle: object, code: object) -> None:
    lab = wire(tmp_path)
    lab.grid.meddle = lambda site, record: meddle(record) if site == "north" else record  # type: ignore[operator]
    found = replies(lab)
    north = found.pop("north")
    assert isinstance(north, SiteUntrusted) and north.code == code
    assert all(isinstance(reply, SiteUpdate) for reply in found.values())


def test_another_sites_signature_is_worth_nothing(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    kept: dict[str, RecordDict] = {}

    def swap(site: str, record: RecordDict) -> RecordDict:
        kept[site] = record
        return kept["north"] if site == "south" else record

    lab.grid.meddle = swap
    south = replies(lab)["south"]
    assert isinstance(south, SiteUntrusted) and south.code is TrustCode.WRONG_KEY


def test_last_rounds_update_sent_again_is_not_taken(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    first: dict[str, RecordDict] = {}
    lab.grid.meddle = lambda site, record: first.setdefault(site, record) if site == "east" else record
    assert isinstance(replies(lab, make_task(lab.plan, 1))["east"], SiteUpdate)
    again = replies(lab, make_task(lab.plan, 2))["east"]
    assert isinstance(again, SiteUntrusted) and again.code is UpdateCode.OTHER_TASK


def signed_by(lab: Wired, site: str, body: ReplyBody, payload: bytes = b"") -> RecordDict:
    from client.server_trust import open_site

    data = body.to_json().encode()
    return to_record(Envelope(data, open_site(lab.site(site)).sign(Domain.UPDATE, data), payload))


def test_a_site_that_signs_in_anothers_name_or_a_wrong_size_is_found_out(tmp_path: Path) -> None:
    lab = wire(tmp_path)

    def lie(site: str, record: RecordDict) -> RecordDict:
        envelope = from_record(record)
        body = read_body(ReplyBody, envelope)
        if site == "north":
            return signed_by(lab, site, body.model_copy(update={"site": "south"}), bytes(envelope.payload))
        if site == "east":
            short = bytes(envelope.payload)[:-4]
            return signed_by(lab, site, body.model_copy(update={"payload": describe(short)}), short)
        return record

    lab.grid.meddle = lie
    found = replies(lab)
    north, east = found["north"], found["east"]
    assert isinstance(north, SiteUntrusted) and north.code is TrustCode.WRONG_NAME
    assert isinstance(east, SiteUntrusted) and east.code is UpdateCode.WRONG_LAYOUT


def test_a_suspended_or_removed_site_is_refused_at_its_next_message(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    set_standing(lab.lab.server, "north", Status.SUSPENDED, DAY_0, None)
    set_standing(lab.lab.server, "south", Status.REMOVED, DAY_0, None)
    found = replies(lab)
    codes = {site: reply.code for site, reply in found.items() if isinstance(reply, SiteUntrusted)}
    assert codes == {"north": TrustCode.SUSPENDED, "south": TrustCode.REMOVED}


def test_a_node_that_went_away_is_a_lost_connection(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    lab.grid.meddle = lambda site, record: None if site == "west" else record
    assert replies(lab)["west"] == SiteFailed("west", 1, FailureCode.CONNECTION_LOST)


def test_refusals_and_failures_keep_their_codes(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    out_of_memory: SiteAnswer = SiteFailed("north", 1, FailureCode.OUT_OF_MEMORY)
    too_bad: SiteAnswer = SiteRefused("south", 1, RefusalCode.TOO_MANY_BAD_CASES)
    lab.trainers["north"].reply = lambda site, task: out_of_memory
    lab.trainers["south"].reply = lambda site, task: too_bad
    found = replies(lab)
    assert (found["north"], found["south"]) == (out_of_memory, too_bad)


def test_expired_certificates_stop_a_site(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    found = list(lab.link(lambda: day(2000)).train(("north",), make_task(lab.plan), 30.0))
    assert isinstance(found[0], SiteUntrusted) and found[0].code is TrustCode.EXPIRED


def test_lies_in_numbers_cost_only_their_own_site(tmp_path: Path) -> None:
    """Believed, since signed, and declined by what they say: NaN, and ten thousand times the norm."""
    lab = wire(tmp_path, make_plan(rounds=1))

    def nan(site: str, task: TrainTask) -> SiteAnswer:
        update = make_update(site, task)
        return replace(update, delta=update.delta.with_vector(update.delta.vector * np.float32(np.nan)))

    lab.trainers["north"].reply = nan
    lab.trainers["south"].reply = lambda site, task: make_update(site, task, scale=1e4)
    for honest in ("east", "west"):
        lab.trainers[honest].reply = lambda site, task: make_update(site, task, scale=1e-4)
    result = run_federation(open_run(lab.plan, tmp_path / "run"), lab.link(), lambda record: None)
    told = {site.site: site.code or site.outcome for site in result.history[0].sites}
    assert told == {
        "north": UpdateCode.NOT_FINITE,
        "south": UpdateCode.ABSURD_NORM,
        "east": Outcome.ACCEPTED,
        "west": Outcome.ACCEPTED,
    }
    assert result.history[0].advanced and result.status is RunStatus.PARTIAL


def link_over(lab: Wired, seen: list[set[str]], step_s: float, monkeypatch: pytest.MonkeyPatch) -> FlowerLink:
    """A link that finds these sites signed in, one set after the other; a look takes `step_s`."""
    now_s = iter(np.arange(0.0, 1e5, step_s))
    monkeypatch.setattr("server.flower_link.time.monotonic", lambda: float(next(now_s)))
    monkeypatch.setattr("server.flower_link.time.sleep", lambda seconds: None)
    server = lab.lab.server

    def nodes() -> dict[str, int]:
        present = seen.pop(0) if len(seen) > 1 else seen[0]
        return dict.fromkeys(present, 1)

    return FlowerLink(lab.grid, lab.plan, nodes, server, lambda: server.identity(None), lambda: DAY_0)


def test_a_round_waits_for_who_took_part_in_the_last_and_not_for_who_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = wire(tmp_path)
    three = {"north", "south", "east"}
    seen = [set(), {"north"}, three, set(lab.plan.sites), three]
    link = link_over(lab, seen, 15.0, monkeypatch)
    assert link.online() == lab.plan.sites  # all are back within the minute
    assert link.online() == ("north", "south", "east")  # west was awaited for a minute
    seen[:] = [three, set()]
    assert link.online() == ("north", "south", "east")  # and is not awaited in the next round: one look was enough


def test_below_quorum_a_round_waits_until_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = wire(tmp_path, make_plan(deadline_s=100.0))
    seen: list[set[str]] = [*(12 * [set[str]()]), set(lab.plan.sites)]
    assert link_over(lab, seen, 10.0, monkeypatch).online() == ()
    assert len(seen) == 2  # eleven looks, 10 s to 110 s, of which the last was past the deadline


def test_after_a_round_below_quorum_the_sites_are_given_a_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of the deadline of 100 s; what ailed them may be over then."""
    lab = wire(tmp_path, make_plan(deadline_s=100.0))
    rests: list[float] = []
    monkeypatch.setattr("server.flower_link.time.sleep", rests.append)
    for name in ("north", "south", "east"):
        lab.trainers[name].reply = lambda site, task: SiteFailed(site, task.round_id, FailureCode.DISK_FULL)
    link = lab.link()
    for round_id in (1, 2):
        assert link.online() == lab.plan.sites
        list(link.train(lab.plan.sites, make_task(lab.plan, round_id), 30.0))
        for name in ("north", "south"):
            lab.trainers[name].reply = make_update
    assert link.online() == lab.plan.sites
    assert rests == [0.0, 10.0, 0.0]


class OneByOne:
    """A grid whose answers take a moment to fetch; how many were fetched at once, and how many since the start."""

    def __init__(self, grid: DeskGrid) -> None:
        self._grid, self.now, self.most, self.fetched = grid, 0, 0, 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.05)
        found = list(self._grid.pull_messages(message_ids))
        self.now, self.fetched = self.now - 1, self.fetched + len(found)
        return found


def test_answers_are_fetched_one_at_a_time_and_no_more_than_one_ahead(tmp_path: Path) -> None:
    lab = wire(tmp_path)
    grid, server = OneByOne(lab.grid), lab.lab.server
    nodes = {name: node for node, name in lab.grid.names.items()}
    link = FlowerLink(grid, lab.plan, lambda: nodes, server, lambda: server.identity(None), lambda: DAY_0)
    taken = 0
    for reply in link.train(lab.plan.sites, make_task(lab.plan), 30.0):
        assert isinstance(reply, SiteUpdate)
        taken += 1
        time.sleep(0.2)  # time enough to fetch all
        assert grid.fetched <= taken + 1
    assert (taken, grid.most, grid.fetched) == (4, 1, 4)
