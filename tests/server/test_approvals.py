"""Asking the sites of a plan until their people have decided."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flwr.app import RecordDict

from client.approvals import Standing, decide, find_plan
from server.approvals import Approvals
from tests.trust import DAY_0
from tests.wired import Wired, wire


@pytest.fixture
def lab(tmp_path: Path) -> Wired:
    """Four sites, a quorum of two, and nobody has decided."""
    return wire(tmp_path, approve=False)


def approvals(lab: Wired, told: list[tuple[str, str]]) -> Approvals:
    nodes = {name: node for node, name in lab.grid.names.items()}

    def say(site: str, standing: str) -> None:
        told.append((site, standing))

    server = lab.lab.server
    return Approvals(lab.grid, lab.kept.envelope, lab.plan, lambda: nodes, server, lambda: DAY_0, say)


def person(lab: Wired, decisions: dict[str, Standing]) -> Callable[[float], None]:
    """Decides at one site each time that the aggregator pauses."""
    waiting = list(decisions.items())

    def pause(seconds: float) -> None:
        if waiting:
            site, standing = waiting.pop(0)
            proposal = find_plan(lab.site(site), lab.plan.fingerprint())
            assert proposal is not None and standing != "waiting"
            decide(lab.site(site), proposal, standing, DAY_0)

    return pause


def test_it_waits_for_every_site_and_a_quorum_is_enough(lab: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions: dict[str, Standing] = {
        "north": "approved",
        "south": "refused",
        "east": "approved",
        "west": "refused",
    }
    monkeypatch.setattr("server.approvals.time.sleep", person(lab, decisions))
    told: list[tuple[str, str]] = []
    asking = approvals(lab, told)
    assert asking.wait(10_000.0)
    assert asking.standings == decisions
    assert told[:4] == [(site, "waiting") for site in ("north", "south", "east", "west")]
    assert told[4:] == list(decisions.items())


def test_too_few_approvals_are_no_quorum(lab: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions: dict[str, Standing] = {
        "north": "approved",
        "south": "refused",
        "east": "refused",
        "west": "refused",
    }
    monkeypatch.setattr("server.approvals.time.sleep", person(lab, decisions))
    asking = approvals(lab, [])
    assert not asking.wait(10_000.0)
    assert asking.shortfall(10_000.0).startswith("every site has decided: 1 of 4 sites approved, 2 are needed: ")


def test_at_the_deadline_who_has_not_decided_is_not_awaited(lab: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = person(lab, {"north": "approved", "south": "approved"})
    now_s = [0.0]

    def sleep(seconds: float) -> None:
        now_s[0] += seconds
        pause(seconds)

    monkeypatch.setattr("server.approvals.time.sleep", sleep)
    monkeypatch.setattr("server.approvals.time.monotonic", lambda: now_s[0])
    asking = approvals(lab, [])
    assert asking.wait(100.0)
    assert asking.standings["west"] == "waiting" and now_s[0] <= 100.0


def test_a_refusal_by_a_sites_program_is_asked_again_and_a_persons_is_not(
    lab: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the aggregator's certificate is not valid yet by a site's clock, that clock is put right."""
    decisions: dict[str, Standing] = {"north": "approved", "south": "refused", "east": "approved"}
    pause = person(lab, decisions)
    desk, answered = lab.desk("west"), [0]
    desk._clock = lambda: DAY_0 - timedelta(days=30)

    def sleep(seconds: float) -> None:
        pause(seconds)
        answered[0] += 1
        if answered[0] == 5:
            desk._clock = lambda: DAY_0
            find = find_plan(lab.site("west"), lab.plan.fingerprint())
            assert find is not None
            decide(lab.site("west"), find, "approved", DAY_0)

    monkeypatch.setattr("server.approvals.time.sleep", sleep)
    told: list[tuple[str, str]] = []
    asking = approvals(lab, told)
    assert asking.wait(10_000.0)
    assert [standing for site, standing in told if site == "west"] == ["refused (not-yet-valid)", "approved"]
    assert asking.standings["south"] == "refused"


def test_the_reason_names_every_site_and_says_what_is_over(lab: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions: dict[str, Standing] = {"north": "approved", "south": "refused"}
    pause, now_s = person(lab, decisions), [0.0]

    def sleep(seconds: float) -> None:
        now_s[0] += seconds
        pause(seconds)

    monkeypatch.setattr("server.approvals.time.sleep", sleep)
    monkeypatch.setattr("server.approvals.time.monotonic", lambda: now_s[0])
    asking = approvals(lab, [])
    everybody = dict(asking._nodes())
    asking._nodes = lambda: {site: node for site, node in everybody.items() if site != "east"}
    assert not asking.wait(100.0)
    assert now_s[0] == 100.0
    assert asking.shortfall(100.0) == (
        "the 100 s to decide are over: 1 of 4 sites approved, 2 are needed: "
        "north approved, south refused, east is not online, west has not decided"
    )


def test_a_lost_or_strange_answer_is_told_and_asked_for_again(lab: Wired) -> None:
    empty: dict[str, RecordDict | None] = {"north": None, "south": RecordDict({})}
    lab.grid.meddle = empty.get
    told: list[tuple[str, str]] = []
    asking = approvals(lab, told)
    asking.ask(30.0)
    assert ("north", "no answer") in told and ("south", "no answer") in told
    lab.grid.meddle = lambda site, record: record
    asking.ask(30.0)
    assert told[-2:] == [("north", "waiting"), ("south", "waiting")]


def test_one_site_cannot_decide_for_another(lab: Wired) -> None:
    kept: dict[str, RecordDict] = {}

    def swap(site: str, record: RecordDict) -> RecordDict:
        kept[site] = record
        return kept["north"] if site == "south" else record

    lab.grid.meddle = swap
    asking = approvals(lab, [])
    asking.ask(30.0)
    assert asking.standings["south"].startswith("not believed: wrong-key")
