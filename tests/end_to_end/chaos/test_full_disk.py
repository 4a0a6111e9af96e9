"""A disk without a byte left, at a hospital and at the aggregator; it costs what could not be written, no more."""

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.daemon_status import site_status
from common.errors import FailureCode
from server.records import Outcome
from server.verify import verify_run
from tests.end_to_end.chaos.faults import bring_up, filled, held, resume, small_disk
from tests.end_to_end.live import Live, live_federation
from tests.end_to_end.tiny import Ran, last_models

pytestmark = pytest.mark.chaos


def test_a_site_without_room_says_so_and_is_back_once_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "deployment" / "sites" / "west"
    with small_disk(disk), live_federation(tmp_path, ("rounds = 3", "rounds = 6")) as live:
        bring_up(live)
        live.wait_for_round(1)
        daemon = live.processes["west"]
        with filled(disk):
            live.wait_until(lambda: Outcome.FAILED in of_west(live), "west failed in a round")
        live.wait_for_end()
        assert [record.advanced for record in live.rounds()] == 6 * [True]
        outcomes = of_west(live)
        first, last = outcomes.index(Outcome.FAILED), 6 - outcomes[::-1].index(Outcome.FAILED)
        assert set(outcomes[first:last]) == {Outcome.FAILED} and set(outcomes[last:]) == {Outcome.ACCEPTED}
        codes = {live.outcomes(number)["west"].code for number in range(first + 1, last + 1)}
        assert codes == {FailureCode.DISK_FULL}
        assert daemon.poll() is None
        status = site_status(live.site("west"), datetime.now(UTC))
        assert status.running and status.connected and status.warnings == ()
        assert "partial, round 6 of 6" in live.status()


def of_west(live: Live) -> list[Outcome]:
    return [live.outcomes(record.round)["west"].outcome for record in live.rounds()]


def test_an_aggregator_without_room_stops_in_words_and_goes_on_once_there_is_room(
    undisturbed: Ran, tmp_path: Path
) -> None:
    with live_federation(tmp_path) as live, small_disk(live.server.path / "runs") as disk, ExitStack() as full:
        bring_up(live)
        live.wait_for_round(1)
        with held(live, "west"):
            live.wait_for_task("west", 2)
            full.enter_context(filled(disk))
        live.wait_until(lambda: live.report().state == "interrupted", "the run has stopped")
        assert "cannot be written: the disk is full: free some space" in live.status()
        assert "interrupted, round 1 of 3" in live.status()
        full.close()
        resumed = resume(live)
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr + live.log()
        assert [site.outcome for record in live.rounds() for site in record.sites] == 9 * [Outcome.ACCEPTED]
        assert live.rounds()[-1].model_sha256 == last_models(undisturbed.folder)["federated"]
        assert verify_run(disk / live.kept.body.plan_id).rounds == 3
        assert "completed, round 3 of 3" in live.status()
