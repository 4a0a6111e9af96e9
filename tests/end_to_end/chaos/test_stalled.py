"""Most sites answer every task with a code: the run stops while rounds are left, and goes on once they can."""

from pathlib import Path

import pytest

from common.errors import RefusalCode
from server.records import Outcome
from tests.end_to_end.chaos.faults import bring_up, resume
from tests.end_to_end.live import Live, live_federation

pytestmark = pytest.mark.chaos
AILING = ("south", "west")


def test_sites_that_lost_their_data_do_not_use_up_a_run(tmp_path: Path) -> None:
    with live_federation(tmp_path, ("rounds = 3", "rounds = 5\ndeadline_s = 60.0")) as live:
        for site in AILING:
            data_of(live, site).rename(away(live, site))
        bring_up(live)
        live.wait_until(lambda: live.report().state == "interrupted", "the run has stopped")
        assert [record.advanced for record in live.rounds()] == 3 * [False]
        assert {live.outcomes(3)[site].code for site in AILING} == {RefusalCode.NOT_READY}
        assert "put that right, then resume: 2 rounds are left" in live.status()

        for site in AILING:
            away(live, site).rename(data_of(live, site))
        resumed = resume(live)
        assert resumed.returncode == 3, resumed.stdout + resumed.stderr + live.log()
        assert [record.advanced for record in live.rounds()] == [False, False, False, True, True]
        assert {site.outcome for record in live.rounds()[3:] for site in record.sites} == {Outcome.ACCEPTED}
        assert "partial, round 5 of 5" in live.status()


def data_of(live: Live, site: str) -> Path:
    return live.root / "deployment" / "data" / site


def away(live: Live, site: str) -> Path:
    return data_of(live, site).with_name(f"{site}-away")
