"""The aggregator dies, in part or whole: no committed round is lost, and the model is the one of a quiet run."""

import os
import signal
from pathlib import Path

import pytest

from server.records import Outcome
from server.up_record import read_up
from server.verify import verify_run
from tests.end_to_end.chaos.faults import bring_up, held, resume
from tests.end_to_end.live import Live, live_federation
from tests.end_to_end.tiny import Ran, last_models

pytestmark = pytest.mark.chaos


def assert_as_undisturbed(live: Live, undisturbed: Ran) -> None:
    """Every site's work is in every round, and the last model is that of the run that nothing befell."""
    assert [record.round for record in live.rounds()] == [1, 2, 3]
    assert [site.outcome for record in live.rounds() for site in record.sites] == 9 * [Outcome.ACCEPTED]
    assert live.rounds()[-1].model_sha256 == last_models(undisturbed.folder)["federated"]
    assert verify_run(live.server.path / "runs" / live.kept.body.plan_id).rounds == 3
    assert "completed, round 3 of 3" in live.status()


def assert_interrupted_in_round_2(live: Live) -> None:
    live.wait_until(lambda: live.report().state == "interrupted", "the run's process is gone")
    assert "interrupted, round 1 of 3" in live.status() and "no committed round is lost" in live.status()


def superlink_pid(live: Live) -> int:
    up = read_up(live.server)
    return up.pids.get("superlink", 0) if up else 0


def test_superlink_killed_in_mid_round_is_started_again_and_the_run_goes_on(
    undisturbed: Ran, tmp_path: Path
) -> None:
    with live_federation(tmp_path) as live:
        bring_up(live)
        live.wait_for_round(1)
        with held(live, "west"):
            live.wait_for_task("west", 2)
            before = superlink_pid(live)
            os.kill(before, signal.SIGKILL)
            live.wait_until(lambda: superlink_pid(live) not in (0, before), "superlink was started again")
        live.wait_for_end()
        assert "superlink restarted" in (live.root / "server.out").read_text()
        assert_as_undisturbed(live, undisturbed)


def test_an_aggregator_killed_whole_goes_on_from_its_last_round(undisturbed: Ran, tmp_path: Path) -> None:
    """First between two rounds, then in mid-round."""
    with live_federation(tmp_path) as live:
        bring_up(live)
        live.wait_for_round(1)
        live.kill("server")
        assert len(live.rounds()) == 1 and not live.has_begun("west", 2)
        assert_interrupted_in_round_2(live)
        live.up()
        live.begin()
        live.wait_until(lambda: live.report().state == "training", "training goes on")
        with held(live, "west"):
            live.wait_for_task("west", 2)
            live.kill("server")
        assert_interrupted_in_round_2(live)
        live.up()
        resumed = resume(live)
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr + live.log()
        assert_as_undisturbed(live, undisturbed)
