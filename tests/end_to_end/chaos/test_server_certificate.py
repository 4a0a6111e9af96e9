"""The server's TLS certificate ends in mid-run: the sites say so by name, and a rotation is all that it takes."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.daemon_status import site_status
from common.audit import read_audit
from common.certificates import Role
from common.errors import FailureCode
from server.authority import BACKDATED, LIFETIMES
from server.provisioning import init_federation
from server.records import Outcome
from server.superlink import executable, free_port
from server.trust_status import trust_status
from server.verify import verify_run
from simulation.deploy_setup import HOST
from tests.end_to_end.chaos.faults import bring_up, held, site_says
from tests.end_to_end.live import Live, live_federation
from tests.end_to_end.tiny import SITES

pytestmark = pytest.mark.chaos
CONNECTED = "connected to the aggregator"
LOST = (Outcome.FAILED, FailureCode.CONNECTION_LOST)
LEFT_S = 150.0  # from now to the end of the certificate: set-up, start and a first round fit in
PATIENCE_S = 400.0  # a SuperNode that was refused twice waits 98 s, three times 146 s


def found_a_year_ago(root: Path) -> datetime:
    """A federation whose gateway's certificate ends soon; its sites are enrolled today.

    Returns:
        When it ends.
    """
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LEFT_S)
    (root / "deployment").mkdir(parents=True)
    then = ends - LIFETIMES[Role.GATEWAY] + BACKDATED
    init_federation(root / "deployment" / "server", "tiny", (HOST,), free_port(), then)
    return ends


def standing_of(live: Live, site: str) -> str:
    return site_status(live.site(site), datetime.now(UTC)).connection


def wait_until_cut_off(live: Live, *sites: str) -> None:
    """Until the SuperNodes have seen that the certificate has ended, and each waits before it tries again."""

    def are_cut_off() -> bool:
        logs = [(live.site(site).path / "logs" / "daemon.log").read_text() for site in sites]
        return all("starts again in 65 s" in log for log in logs)

    live.wait_until(are_cut_off, f"{sites} are cut off", PATIENCE_S)
    for site in sites:
        assert "the gateway's certificate has expired" in standing_of(live, site)


def test_a_run_outlives_the_servers_tls_certificate(tmp_path: Path) -> None:
    ends: list[datetime] = []
    with live_federation(tmp_path, before=lambda root: ends.append(found_a_year_ago(root))) as live:
        bring_up(live)
        live.wait_for_round(1)
        kits = {site: live.site(site).joined().path for site in SITES}
        with held(live, "north"):
            live.wait_for_task("north", 2)
            live.wait_until(lambda: datetime.now(UTC) > ends[0], "the certificate has run out")
            wait_until_cut_off(live, "south", "west")  # they are idle and ask for tasks
        wait_until_cut_off(live, "north")  # it trained meanwhile, and wants to send what came of it
        check = site_says(live, "west", "check")
        assert "certificate has expired; check this machine's clock; if it is right, the consortium must" in check
        day, server_says = f"{ends[0]:%Y-%m-%d}", "\n".join(trust_status(live.server, datetime.now(UTC)).lines())
        assert f"fail  server TLS certificate: expired on {day}; run: fedmets-server rotate" in server_says
        assert live.report().state == "training", live.status()  # its own way to SuperLink has not ended
        assert live.processes["server"].poll() is None

        rotate = [executable("fedmets-server"), "rotate", str(live.server.path)]
        subprocess.run(rotate, check=True, capture_output=True, timeout=60.0)
        assert live.wait_for_end(PATIENCE_S).state == "partial"
        live.wait_until(
            lambda: all(standing_of(live, site) == CONNECTED for site in SITES), "every site is back", PATIENCE_S
        )
        there = {site for site in SITES if live.outcomes(3)[site].outcome is Outcome.ACCEPTED}
        assert len(there) >= 2  # one that asked again just before the rotation waits longer than the round does
        for site in there:
            assert [line.event for line in live.heard_at(site)].count("aggregator-rotated") == 1
        assert (live.outcomes(2)["north"].outcome, live.outcomes(2)["north"].code) == LOST
        assert [live.outcomes(2)[site].outcome for site in ("south", "west")] == 2 * [Outcome.ACCEPTED]
        assert [record.advanced for record in live.rounds()] == 3 * [True]
        assert {site: live.site(site).joined().path for site in SITES} == kits  # nobody has enrolled anew
        verify_run(live.server.path / "runs" / live.kept.body.plan_id)
        events = [line.event for line in read_audit(live.server.path / "audit.jsonl")]
        assert events.count("server-keys-rotated") == 1 and "run-resumed" not in events
