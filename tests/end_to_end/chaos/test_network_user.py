"""A hospital whose SuperNode is another user; the daemon has no more rights than its systemd unit leaves it."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.daemon_status import site_status
from server.records import Outcome
from server.superlink import executable
from simulation.sites import CACHE_FOLDER
from tests.end_to_end.chaos.own_view import own_view, user_and_group
from tests.end_to_end.live import PATIENCE_S, Live, at_work_in, live_federation
from tests.end_to_end.shown import shown
from tests.end_to_end.tiny import PHANTOMS
from tests.site_unit import with_its_rights

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user"),
    pytest.mark.skipif(not all(map(shutil.which, ("unshare", "setpriv", "useradd"))), reason="needs util-linux"),
]
USER = "fedmets-net"
GUIDE = "site-guide.md"
NODE, WORKER = "--auth-supernode-private-key", "client.worker"  # in their command lines, and not in the trial's
_SITES = PHANTOMS[PHANTOMS.index("[[phantom.sites]]") :]
_ONE_SITE = _SITES[: _SITES.index("[[", 1)]
EDITS = ((_SITES, _ONE_SITE), ("rounds = 3", "rounds = 1"))


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A folder that other users can pass through, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Hospital:
    """The one site of a federation, and the machine as it sees it."""

    live: Live
    view: tuple[str, ...]
    uid: int
    gid: int

    @property
    def site(self) -> Path:
        return self.live.site("north").path

    @property
    def cases(self) -> Path:
        return self.live.root / "deployment" / "data" / "north"

    def join(self) -> None:
        """Start the daemon with the unit's umask and rights, from a folder that its SuperNode may not enter."""
        closed = self.live.root / "closed"
        closed.mkdir(mode=0o700, exist_ok=True)
        here = ("sh", "-c", 'umask 077; cd "$0"; exec "$@"', str(closed))
        command = (executable("fedmets-site"), "run", str(self.site))
        self.live.join("north", (*self.view, *here, *with_its_rights(), *command))

    def nodes(self) -> list[int]:
        """The SuperNode itself; its guardian, which names it too, is root's."""
        return [pid for pid in self.live.working("north", NODE) if Path(f"/proc/{pid}").stat().st_uid == self.uid]

    def opens(self, path: Path) -> bool:
        """Whether a process of the SuperNode's user can read a file."""
        who = ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        done = subprocess.run([*who, "/bin/cat", path], capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0 or b"Permission denied" in done.stderr
        return done.returncode == 0


def test_a_site_whose_supernode_is_another_user(open_root: Path) -> None:
    view = own_view(open_root / "scratch")
    with live_federation(open_root, *EDITS) as live:
        give_the_supernode_a_user(live, view)
        hospital = Hospital(live, view, *user_and_group(open_root / "scratch", USER))
        live.up()
        hospital.join()
        live.wait_until(lambda: site_status(live.site("north"), datetime.now(UTC)).connected, "north signed in")
        is_without_rights(hospital)
        reads_its_copies_alone(hospital)
        assert "node of north: online" in server_says(live)
        live.begin()
        assert live.wait_for_end().state == "completed"
        assert live.outcomes(1)["north"].outcome is Outcome.ACCEPTED
        dies_with_the_daemon(hospital)
        is_started_again_with_new_copies_and_stopped_without_any(hospital)


def give_the_supernode_a_user(live: Live, view: tuple[str, ...]) -> None:
    """What docs/site-guide.md has the hospital type; here the prepared cases lie outside SITE_DIR."""
    site, cases = live.site("north").path, live.root / "deployment" / "data" / "north"
    for command in (
        shown(GUIDE, "useradd --system --no-create-home --shell /usr/sbin/nologin fedmets-net"),
        shown(GUIDE, "chown -R root:root /srv/fedmets", {"/srv/fedmets": str(site)}),
        shown(GUIDE, "chmod -R go-rwx /srv/fedmets", {"/srv/fedmets": str(site)}),
        shown(GUIDE, "chmod o+x /srv/fedmets", {"/srv/fedmets": str(site)}),
        shown(GUIDE, "chmod o-rwx /data/metastases", {"/data/metastases": str(cases)}),
    ):
        subprocess.run([*view, "sh", "-c", command], check=True)
    (live.root / CACHE_FOLDER).chmod(0o700)
    own = site / "site.toml"
    own.write_text(f'supernode_user = "{USER}"\n' + own.read_text())


def is_without_rights(hospital: Hospital) -> None:
    (node,) = hospital.nodes()
    lines = Path(f"/proc/{node}/status").read_text().splitlines()
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert fields["Uid"] == 4 * [str(hospital.uid)]
    assert fields["Gid"] == 4 * [str(hospital.gid)]
    assert fields["Groups"] == [str(hospital.gid)]
    assert [fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == 4 * [["0000000000000000"]]
    for pid in (hospital.live.processes["north"].pid, *hospital.live.working("north", WORKER)):
        assert Path(f"/proc/{pid}").stat().st_uid == 0


def reads_its_copies_alone(hospital: Hospital) -> None:
    """Every file of the site, every case, and what /proc shows of the worker, opened by a process of that user."""
    worker, *_ = hospital.live.working("north", WORKER)
    folders = (hospital.site, hospital.cases, hospital.live.root / CACHE_FOLDER)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files.append(Path(f"/proc/{worker}/environ"))
    copies = hospital.site / "supernode"
    own = {path for path in files if copies in path.parents}
    assert {copies / name for name in ("node", "authority.crt", "secret")} <= own
    names = {path.name for path in files}
    assert names >= {"identity.key", "node", "audit.jsonl", "site.toml", "supernode.secret"}
    assert {Path(name).suffix for name in names} >= {".gz", ".npy"}
    assert {path for path in files if hospital.opens(path)} == own


def server_says(live: Live) -> str:
    command = [executable("fedmets-server"), "status", str(live.server.path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def dies_with_the_daemon(hospital: Hospital) -> None:
    """Killed without a word, the daemon leaves no process; the copies stay, for their user alone."""
    daemon = hospital.live.processes.pop("north")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(PATIENCE_S)
    hospital.live.wait_until(lambda: at_work_in(hospital.site) == [], "all of north is dead")
    assert hospital.opens(hospital.site / "supernode" / "node")


def is_started_again_with_new_copies_and_stopped_without_any(hospital: Hospital) -> None:
    secret = hospital.site / "supernode" / "secret"
    before = secret.read_text()
    hospital.join()
    hospital.live.wait_until(lambda: hospital.nodes() != [], "the SuperNode runs again")
    assert secret.read_text() != before
    is_without_rights(hospital)
    assert hospital.live.stop("north") == 0
    assert at_work_in(hospital.site) == []
    assert not secret.parent.exists()
