"""Sites that lie, and a site that is killed in mid-round: what it costs, told by the aggregator's own records."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import TrustCode, UpdateCode
from server.records import Outcome, Participation
from tests.end_to_end.live import Live, live_federation

# Six sites of one or two patients each: who lies needs no data of its own.
PHANTOM_SITES = """
[[phantom.sites]]
name = "north"
patients = 4
zero_lesion_share = 0.0

[[phantom.sites]]
name = "south"
patients = 3
vessels = "black_blood"
zero_lesion_share = 0.0

[[phantom.sites]]
name = "west"
patients = 3
zero_lesion_share = 0.0
"""
LIES = {
    "nan": UpdateCode.NOT_FINITE,
    "wrong-shapes": UpdateCode.WRONG_LAYOUT,
    "another-signature": TrustCode.WRONG_KEY,
    "replay": UpdateCode.OTHER_TASK,
    "10000-times": UpdateCode.ABSURD_NORM,
}
_LIARS = "".join(f'\n[[phantom.sites]]\nname = "{lie}"\npatients = 1\nzero_lesion_share = 0.0\n' for lie in LIES)


@pytest.fixture(scope="module")
def lied_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Three honest sites, the last of which dies in the second round, and five that lie."""
    root = tmp_path_factory.mktemp("live")
    edits = (
        (PHANTOM_SITES.strip("\n"), PHANTOM_SITES.strip("\n") + "\n" + _LIARS),
        ("rounds = 3", "rounds = 2\nquorum = 0.2\ndeadline_s = 40.0"),
    )
    with live_federation(root, *edits) as live:
        live.up()
        for site in ("north", "south", "west"):
            live.join(site)
        for lie in LIES:
            where = str(live.site(lie).path)
            live.join(lie, (sys.executable, "-m", "tests.end_to_end.lying_site", where, lie))
        live.begin()
        live.wait_for_round(1)
        live.wait_until(lambda: _tasks_begun(live, "west") == 2, "west began its second task")
        live.kill("west")
        live.wait_for_end()
        yield live


def _tasks_begun(live: Live, site: str) -> int:
    return sum(record.event == "task-begun" for record in live.heard_at(site))


def outcomes(live: Live, round_id: int) -> dict[str, Participation]:
    return {site.site: site for site in live.rounds()[round_id - 1].sites}


@pytest.mark.parametrize(("lie", "code"), LIES.items())
def test_a_lie_is_found_out_and_costs_only_the_liar(lied_to: Live, lie: str, code: UpdateCode | TrustCode) -> None:
    told = outcomes(lied_to, 2)
    assert (told[lie].outcome, told[lie].code) == (Outcome.INVALID, code)
    first = outcomes(lied_to, 1)[lie].outcome
    assert first is (Outcome.ACCEPTED if lie == "replay" else Outcome.INVALID)
    assert [told[site].outcome for site in ("north", "south")] == 2 * [Outcome.ACCEPTED]


def test_a_site_that_is_killed_in_mid_round_loses_its_own_work_alone(lied_to: Live) -> None:
    rounds = lied_to.rounds()
    assert [record.advanced for record in rounds] == [True, True]
    assert outcomes(lied_to, 1)["west"].outcome is Outcome.ACCEPTED
    assert outcomes(lied_to, 2)["west"].outcome in (Outcome.LATE, Outcome.FAILED)


def test_status_says_how_it_ended(lied_to: Live) -> None:
    report = lied_to.report()
    lines = "\n".join(report.lines(lied_to.server))
    assert (report.state, report.round_id) == ("partial", 2)
    assert "nan not-finite" in lines and "north accepted" in lines


def test_every_lie_stands_in_the_audit_log(lied_to: Live) -> None:
    from common.audit import read_audit

    log = read_audit(lied_to.server.path / "runs" / lied_to.kept.body.plan_id / "audit.jsonl")
    told = {record.details["site"] for record in log if record.event == "update-rejected"}
    assert told == set(LIES)


def test_killed_site_knows_what_it_had_begun(lied_to: Live) -> None:
    """Its log holds, to the last line before the kill."""
    events = [record.event for record in lied_to.heard_at("west")]
    assert events.count("task-begun") == 2 and Path(lied_to.site("west").path).is_dir()
