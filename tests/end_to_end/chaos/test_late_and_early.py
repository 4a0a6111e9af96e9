"""Sites out of time: two that are too slow for one round, and one whose clock is hours ahead."""

import sys
from collections.abc import Iterator

import pytest

from common.audit import read_audit
from common.errors import FailureCode, RefusalCode
from server.records import Outcome
from tests.end_to_end.chaos.faults import held
from tests.end_to_end.live import Live, live_federation
from tests.end_to_end.tiny import SITES

pytestmark = pytest.mark.chaos
PLAN = ("rounds = 3", "rounds = 3\nquorum = 0.3\ndeadline_s = 45.0")
AFTER_WEST = "[preprocessing]\nspacing_mm"
DRIVEN = ("slow", "hasty")
MORE = "".join(f'[[phantom.sites]]\nname = "{name}"\npatients = 1\nzero_lesion_share = 0.0\n\n' for name in DRIVEN)


@pytest.fixture(scope="module")
def out_of_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """In the second round the trainer of `west` stands still and the one of `slow` answers too late."""
    with live_federation(tmp_path_factory.mktemp("late"), PLAN, (AFTER_WEST, MORE + AFTER_WEST)) as live:
        live.up()
        for site in SITES:
            live.join(site)
        for name in DRIVEN:
            where = str(live.site(name).path)
            live.join(name, (sys.executable, "-m", "tests.end_to_end.lying_site", where, name))
        live.begin()
        live.wait_for_round(1)
        with held(live, "west"):
            live.wait_for_task("west", 2)
            live.wait_until(lambda: left(live, "west")[-1][0] == 2, "west gave its second round up")
        live.wait_for_end()
        yield live


def left(live: Live, site: str) -> list[tuple[int, str, str | None, float]]:
    """What left the site: round, outcome, code, and when."""
    lines = [line for line in live.heard_at(site) if line.event == "left-the-house" and line.round]
    told = [(line.details["body"], line.time) for line in lines]
    return [(body["round_id"], body["outcome"], body["code"], at) for body, at in told]


def test_an_update_after_the_deadline_is_not_used_and_the_site_is_in_the_next_round(out_of_time: Live) -> None:
    late = out_of_time.outcomes(2)["slow"]
    assert (late.outcome, late.code, late.bytes_up) == (Outcome.LATE, None, 0)
    assert [out_of_time.outcomes(number)["slow"].outcome for number in (1, 3)] == 2 * [Outcome.ACCEPTED]
    answers = {number: (what, at) for number, what, _, at in left(out_of_time, "slow")}
    committed = next(
        record.time
        for record in read_audit(out_of_time.server.path / "runs" / out_of_time.kept.body.plan_id / "audit.jsonl")
        if record.event == "round-committed" and record.round == 2
    )
    assert answers[2][0] == "update" and answers[2][1] > committed


def test_training_that_stands_still_is_given_up_at_the_deadline_and_begun_anew(out_of_time: Live) -> None:
    assert [out_of_time.outcomes(number)["west"].outcome for number in (1, 2, 3)] == [
        Outcome.ACCEPTED,
        Outcome.LATE,
        Outcome.ACCEPTED,
    ]
    assert [(what, code) for number, what, code, _ in left(out_of_time, "west") if number == 2] == [
        ("failed", FailureCode.DEADLINE)
    ]


def test_a_site_whose_clock_is_hours_off_refuses_and_the_others_go_on(out_of_time: Live) -> None:
    told = [out_of_time.outcomes(number)["hasty"] for number in (1, 2, 3)]
    assert [(site.outcome, site.code) for site in told] == 3 * [(Outcome.REFUSED, RefusalCode.CLOCKS_DIFFER)]
    assert not any(line.event == "task-begun" for line in out_of_time.heard_at("hasty"))
    for number in (1, 2, 3):
        assert all(out_of_time.outcomes(number)[site].outcome is Outcome.ACCEPTED for site in ("north", "south"))


def test_status_says_what_became_of_each(out_of_time: Live) -> None:
    assert "partial, round 3 of 3" in out_of_time.status()
    assert "hasty clocks-differ" in out_of_time.status() and "slow accepted" in out_of_time.status()
