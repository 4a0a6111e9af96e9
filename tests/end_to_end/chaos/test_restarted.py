"""Programs that end: a site killed and started again at once, and both roles stopped as systemd stops them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.daemon_status import site_status
from server.records import Outcome
from tests.end_to_end.chaos.faults import bring_up, held, resume
from tests.end_to_end.live import Live, at_work_in, live_federation

pytestmark = pytest.mark.chaos


def test_a_site_started_again_at_once_is_refused_for_a_minute_and_then_back(tmp_path: Path) -> None:
    # SuperLink calls a node gone after a minute at most: with a shorter deadline the next round's task may go to
    # the node that was killed, and be lost with it
    with live_federation(tmp_path, ("rounds = 3", "rounds = 3\ndeadline_s = 100.0")) as live:
        bring_up(live)
        live.wait_for_round(1)
        with held(live, "west"):
            live.wait_for_task("west", 2)
            live.kill("west")
        live.join("west")
        live.wait_until(lambda: node_states(live)[-1:] == ["waiting"], "the SuperNode was refused")
        told = site_status(live.site("west"), datetime.now(UTC))
        assert not told.connected and "does not let this site in" in told.connection
        report = live.wait_for_end()
        assert [record.advanced for record in live.rounds()] == 3 * [True]
        outcomes = [live.outcomes(round_id)["west"].outcome for round_id in (1, 2, 3)]
        assert outcomes[0] is outcomes[2] is Outcome.ACCEPTED
        assert outcomes[1] in (Outcome.LATE, Outcome.FAILED)
        assert all(live.outcomes(2)[site].outcome is Outcome.ACCEPTED for site in ("north", "south"))
        assert "starts again in 65 s" in (live.site("west").path / "logs" / "daemon.log").read_text()
        assert (report.state, report.round_id) == ("partial", 3)
        assert "not every site was in every round" in live.status()


def node_states(live: Live) -> list[str]:
    programs = site_status(live.site("west"), datetime.now(UTC)).programs
    return [one.state for one in programs if one.name == "supernode"]


def test_both_roles_stop_in_mid_round_without_leaving_anything(tmp_path: Path) -> None:
    """The aggregator first, which loses the round under way; then a site, which finishes its task."""
    with live_federation(tmp_path) as live:
        bring_up(live)
        live.wait_for_round(1)
        with held(live, "west"):
            live.wait_for_task("west", 2)
            assert live.stop("server") == 0
        assert at_work_in(live.server.path) == []
        assert "interrupted, round 1 of 3" in live.status() and "fedmets-server resume" in live.status()

        live.up()
        live.begin()
        live.wait_for_round(2)
        with held(live, "west"):
            live.wait_for_task("west", 3)
            live.processes["west"].terminate()
        assert live.stop("west") == 0
        assert at_work_in(live.site("west").path) == []
        assert not site_status(live.site("west"), datetime.now(UTC)).running

        live.wait_for_end()
        rounds = live.rounds()
        assert [site.outcome for record in rounds for site in record.sites] == 9 * [Outcome.ACCEPTED]
        assert "completed, round 3 of 3" in live.status()
        again = resume(live)
        assert again.returncode == 2 and "has all its 3 rounds" in again.stderr
