"""A hospital that let its certificates run out in mid-run: refused by name, and told so on both sides."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.daemon_status import site_status
from client.joining import compare_with, join_federation
from client.requesting import request_enrollment
from client.server_trust import follow_published
from client.site_folder import SiteFolder
from common.certificates import Role
from common.errors import TrustCode
from server.authority import BACKDATED, LIFETIMES
from server.enrollment import enroll_site
from server.provisioning import init_federation
from server.records import Outcome
from server.rotation import published_rotations, rotate_server
from server.superlink import free_port
from server.trust_status import trust_status
from simulation.deploy_setup import HOST
from tests.end_to_end.chaos.faults import bring_up, held, site_says
from tests.end_to_end.live import live_federation

pytestmark = pytest.mark.chaos
LEFT_S = 100.0  # from now to the end of the certificates: set-up, start and a first round fit in


def found_two_years_ago(root: Path) -> datetime:
    """A federation, with `west` in it from its first day; the aggregator's keys were rotated last month.

    Returns:
        When west's certificates end.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    ends = now + timedelta(seconds=LEFT_S)
    then = ends - LIFETIMES[Role.SITE] + BACKDATED
    (root / "deployment" / "sites").mkdir(parents=True)
    server = init_federation(root / "deployment" / "server", "tiny", (HOST,), free_port(), then)
    site, kit = SiteFolder(root / "deployment" / "sites" / "west"), root / "deployment" / "sites" / "west.kit"
    enroll_site(server, request_enrollment(site, "west", then).file, kit, then)
    join_federation(site, kit, compare_with(server.authority().fingerprint), then)
    rotate_server(server, now - timedelta(days=30))
    follow_published(site, published_rotations(server), now)
    return ends


def test_an_expired_certificate_is_refused_by_name_and_said_on_both_sides(tmp_path: Path) -> None:
    ends: list[datetime] = []
    with live_federation(tmp_path, before=lambda root: ends.append(found_two_years_ago(root))) as live:
        bring_up(live)
        live.wait_for_round(1)
        assert live.outcomes(1)["west"].outcome is Outcome.ACCEPTED
        with held(live, "north"):
            live.wait_until(lambda: datetime.now(UTC) > ends[0], "the certificates have run out")
        live.wait_for_end()

        assert [record.advanced for record in live.rounds()] == 3 * [True]
        last = live.outcomes(3)
        assert (last["west"].outcome, last["west"].code) == (Outcome.INVALID, TrustCode.EXPIRED)
        assert {last[site].outcome for site in ("north", "south")} == {Outcome.ACCEPTED}
        assert "partial, round 3 of 3" in live.status() and "west expired" in live.status()

        day = f"{ends[0]:%Y-%m-%d}"
        server_says = "\n".join(trust_status(live.server, datetime.now(UTC)).lines())
        assert f"fail  certificates of site west: expired on {day}; remove west" in server_says
        warnings = "\n".join(site_status(live.site("west"), datetime.now(UTC)).warnings)
        assert f"site identity certificate: expired on {day}; too late to renew" in warnings
        check = site_says(live, "west", "check")
        assert f"fail  site identity certificate: expired on {day}" in check
        assert f"fail  node certificate: expired on {day}" in check
