"""The disk of the aggregator's whole folder is full, SuperLink's database with it, which then answers with errors.

Neither the aggregator nor a hospital's daemon may be left dead or deaf by that.
"""

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.daemon_status import site_status
from common.errors import FedmetsError
from server.provisioning import init_federation
from server.superlink import free_port
from server.verify import verify_run
from simulation.deploy_setup import HOST
from tests.end_to_end.chaos.faults import small_disk
from tests.end_to_end.live import Live, live_federation
from tests.end_to_end.tiny import SITES

pytestmark = pytest.mark.chaos
ROOM_BYTES = 220_000_000  # SuperLink's log of changes alone grows to 72 MB
LEFT_BYTES = 4_000_000
PATIENCE_S = 300.0


def test_a_full_disk_under_superlink_leaves_nobody_deaf(tmp_path: Path) -> None:
    with small_disk(tmp_path / "deployment" / "server", ROOM_BYTES) as disk:
        found_on(disk)
        with live_federation(tmp_path) as live:
            live.up()
            for site in SITES:
                live.join(site)
            live.wait_until(lambda: signed_in(live) == set(SITES), "every site is signed in")
            with nearly_filled(disk), contextlib.suppress(FedmetsError):  # Flower may refuse the run already
                live.begin()
                live.wait_until(lambda: signed_in(live) == set(), "SuperLink answered with errors", PATIENCE_S)
            live.wait_until(lambda: signed_in(live) == set(SITES), "every site is back", PATIENCE_S)
            assert live.processes["server"].poll() is None
            live.wait_until(lambda: live.report().state != "starting", "it begins or may not", PATIENCE_S)
            if live.report().state not in ("proposing", "training"):
                live.begin()
            live.wait_for_end(PATIENCE_S)
            assert [record.round for record in live.rounds()] == [1, 2, 3]
            assert live.rounds()[-1].advanced
            assert verify_run(live.server.path / "runs" / live.kept.body.plan_id).rounds == 3


def found_on(disk: Path) -> None:
    """A federation on the disk; its folder is made beside it, since one is put in its place whole."""
    made = init_federation(disk.with_name("made"), "tiny", (HOST,), free_port(), datetime.now(UTC))
    shutil.copytree(made.path, disk, dirs_exist_ok=True)
    shutil.rmtree(made.path)


@contextmanager
def nearly_filled(disk: Path) -> Iterator[None]:
    """A few megabytes are left, less than SuperLink's database needs for a run."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - LEFT_BYTES))
    try:
        yield
    finally:
        filler.unlink()


def signed_in(live: Live) -> set[str]:
    """The sites whose own `status` says that they are."""
    return {site for site in SITES if site_status(live.site(site), datetime.now(UTC)).connected}
