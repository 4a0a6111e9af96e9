"""The line to one hospital is dead for a minute and a half, and comes back."""

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.daemon_status import site_status
from server.provisioning import init_federation
from server.records import Outcome
from server.superlink import executable, free_port
from server.up_record import read_up
from tests.end_to_end.chaos.faults import held
from tests.end_to_end.chaos.network import SERVER, Line, two_machines
from tests.end_to_end.live import Live, live_federation, wait_for

pytestmark = pytest.mark.chaos
CUT_S = 90.0
EDIT = ("rounds = 3", "rounds = 4\ndeadline_s = 75.0")


def found(root: Path) -> None:
    """A federation that is dialled at the address of the aggregator's machine."""
    (root / "deployment").mkdir()
    init_federation(root / "deployment" / "server", "tiny", (SERVER,), free_port(), datetime.now(UTC))


def bring_up(live: Live, line: Line) -> None:
    server = str(live.server.path)
    live.start("server", line.at_hub(executable("fedmets-server"), "up", server, "--listen", SERVER))
    wait_for(lambda: read_up(live.server) is not None, "the aggregator is up", live.log)
    for site in ("north", "south"):
        live.start(site, line.at_hub(executable("fedmets-site"), "run", str(live.site(site).path)))
    live.start("west", line.at_ward(executable("fedmets-site"), "run", str(live.site("west").path)))
    begin = line.at_hub(executable("fedmets-server"), "start", server, live.kept.body.plan_id)
    subprocess.run(begin, check=True, capture_output=True, timeout=60.0)


def connected(live: Live) -> bool:
    return site_status(live.site("west"), datetime.now(UTC)).connected


def test_a_site_whose_line_was_cut_for_90_s_is_back_in_a_later_round(tmp_path: Path) -> None:
    with two_machines() as line, live_federation(tmp_path, EDIT, before=found) as live:
        bring_up(live, line)
        live.wait_for_round(1)
        with held(live, "west"):
            live.wait_for_task("west", 2)
            line.cut()
            cut_s = time.monotonic()
        live.wait_until(lambda: time.monotonic() - cut_s > CUT_S, "the line was dead long enough")
        assert not connected(live)
        line.mend()
        report = live.wait_for_end()
        assert [record.advanced for record in live.rounds()] == 4 * [True]
        assert live.outcomes(1)["west"].outcome is Outcome.ACCEPTED
        assert live.outcomes(2)["west"].outcome in (Outcome.LATE, Outcome.FAILED)
        assert live.outcomes(4)["west"].outcome is Outcome.ACCEPTED
        for record in live.rounds():
            assert {site.outcome for site in record.sites if site.site != "west"} == {Outcome.ACCEPTED}
        assert connected(live)
        assert report.state == "partial"
        assert "not every site was in every round" in live.status()
