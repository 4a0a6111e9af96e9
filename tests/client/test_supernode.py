"""The SuperNode's program, what it may see, and what its log says in plain words."""

import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client import supernode
from client.site_config import Folders, SiteConfig
from client.site_folder import SiteFolder
from client.supernode import (
    NodeFiles,
    clear_copies,
    copies_folder,
    node_files,
    read_standing,
    standing_in,
    supernode_program,
)
from client.supernode_main import LOOP_ENDED, STARTING
from common.config import DataSection
from common.errors import StorageError, UserError
from common.launching import launch
from tests.site_unit import with_its_rights
from tests.trust import make_lab

START = "\x1b[92mINFO \x1b[0m:      Starting Flower SuperNode\n"
SIGNED_IN = START + "\x1b[92mINFO \x1b[0m:      SuperNode ID: 1532\n"
AWAY = "WARNING :   Connection attempt failed, retrying in 0.88 seconds\n"
BACK = "INFO :      Connection successful after 1.20 seconds and 2 tries.\n"
EXPIRED = (
    "ERROR :     [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "certificate has expired (_ssl.c:1006)\n"
)
REFUSED = START + "ERROR :     Exit Code: 305\nFailed to initialize\n[code: 2004] Failed to activate SuperNode.\n"


def config(proxy: str | None = None, user: str | None = None) -> SiteConfig:
    data = DataSection(adapter="ucsf_bmsr", root=Path("/nowhere"))
    return SiteConfig(data=data, folders=Folders(cache=Path("/nowhere")), proxy=proxy, supernode_user=user)


@pytest.mark.parametrize(
    ("log", "connected", "words"),
    [
        ("", False, "not started"),
        (START, False, "signing in"),
        (SIGNED_IN, True, "connected"),
        (SIGNED_IN + AWAY, False, "does not answer"),
        (SIGNED_IN + AWAY + BACK, True, "connected"),
        (REFUSED, False, "does not let this site in"),
        (REFUSED + SIGNED_IN, True, "connected"),
        (START + "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", False, "no certificate of this"),
        (SIGNED_IN + EXPIRED, False, "has expired, .* nothing has to be done here"),
        (SIGNED_IN + EXPIRED + AWAY + BACK, True, "connected"),
        (SIGNED_IN + EXPIRED + "INFO :      Received successfully\n", True, "connected"),
        (SIGNED_IN + "INFO :      SuperNode terminated gracefully.\n", False, "refused its signature"),
        (START + "httpx.ProxyError: 407 Proxy Authentication Required", False, "the proxy wants a user"),
        (START + "[Errno 98] error while attempting to bind: address already in use", False, "supernode_port"),
        (
            START + "Traceback (most recent call last):\n  x\nKeyError: 'y'\n",
            False,
            "ended with an error: .*KeyError",
        ),
    ],
)
def test_the_logs_last_start_in_plain_words(log: str, connected: bool, words: str) -> None:
    standing = standing_in(log)
    assert standing.connected is connected
    assert re.search(words, standing.words)


def test_a_task_whose_content_will_never_come_is_noticed_until_the_next_start() -> None:
    lost = SIGNED_IN + "INFO :      Run ID 400 is not in `RUNNING` status. Ignoring message 91ef.\n"
    assert (standing_in(lost).connected, standing_in(lost).lost_message) == (True, "91ef")
    reply = SIGNED_IN + "INFO :      Run ID 400 is not in `RUNNING` status. Ignoring reply message 91ef.\n"
    assert [standing_in(log).lost_message for log in (SIGNED_IN, reply, lost + SIGNED_IN)] == 3 * [""]


def test_a_node_whose_sign_of_life_has_died_is_mute_until_its_next_start() -> None:
    died = SIGNED_IN + "Exception in thread Thread-2 (_run):\nTraceback (most recent call last):\n  x\n" + AWAY
    told = standing_in(died)
    assert (told.connected, told.mute) == (False, True)
    assert "sign of life" in told.words and "ended" not in told.words
    spoke_again = (SIGNED_IN, SIGNED_IN + "Traceback\n", died + SIGNED_IN)
    assert [standing_in(log).mute for log in spoke_again] == 3 * [False]


def test_of_a_long_log_the_end_counts(tmp_path: Path) -> None:
    path = tmp_path / "supernode.log"
    assert read_standing(path).words == "not started"
    path.write_text(REFUSED + "x\n" * 100_000 + SIGNED_IN)
    assert read_standing(path).connected
    path.write_text(SIGNED_IN + "x\n" * 100_000)
    assert read_standing(path).connected


def test_the_last_words_of_an_earlier_life_are_nobodys_standing(tmp_path: Path) -> None:
    path, now = tmp_path / "supernode.log", datetime(2030, 1, 1, tzinfo=UTC)
    path.write_text(SIGNED_IN + "INFO :      SuperNode terminated gracefully.\n")
    at = [(now + timedelta(seconds=seconds)).timestamp() for seconds in (-0.2, 0.2)]
    os.utime(path, (at[0], at[0]))
    assert "refused its signature" in read_standing(path).words  # of one that has ended, these are the words
    told = read_standing(path, now)
    assert (told.connected, told.words, told.mute) == (False, "signing in", False)
    path.write_text(f"{path.read_text()}{STARTING}\n")
    os.utime(path, (at[1], at[1]))
    assert read_standing(path, now).words == "signing in"


def test_its_first_words_are_flowers_own_and_come_before_flower_is_loaded() -> None:
    script = (
        "import sys, client.supernode_main as m\n"
        "def found(**of): print('flwr' in sys.modules, flush=True); sys.exit()\n"
        "m.entry_points = found\n"
        "m.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.splitlines()[0] == STARTING == supernode._STARTING


def test_it_gets_the_sites_proxy_and_no_other_and_none_of_our_secrets(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path / "node", tmp_path / "crt", tmp_path / "secret", tmp_path)
    ours = {"PATH": "/bin", "HTTPS_PROXY": "http://other:1", "FEDMETS_PASSPHRASE_FILE": "/x", "API_TOKEN": "t"}
    with_proxy, without = (
        supernode_program("fed:8443", 9, files, config(proxy), tmp_path / "log", ours)
        for proxy in ("http://user:pass@proxy:3128", None)
    )
    assert with_proxy.environment["HTTPS_PROXY"] == "http://user:pass@proxy:3128"
    assert "HTTPS_PROXY" not in without.environment
    assert {"FEDMETS_PASSPHRASE_FILE", "API_TOKEN"}.isdisjoint(with_proxy.environment)
    assert with_proxy.environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert "pass" not in repr(with_proxy)
    arguments = " ".join(with_proxy.argv)
    assert "--superlink fed:8443" in arguments
    assert "--isolation process --host 127.0.0.1 --port 9" in arguments
    assert "--insecure" not in arguments
    assert with_proxy.backoff.delay_s(1) > 60


def test_flower_goes_through_the_proxy(tmp_path: Path) -> None:
    keys = make_lab(tmp_path / "lab").add("north").joined()
    files = node_files(tmp_path, keys, tmp_path / "secret", None)
    files.secret.write_text("s" * 64)
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.create_server(("127.0.0.1", 0)) as probe:
        proxy.settimeout(30)
        port = probe.getsockname()[1]
        probe.close()
        through = config(f"http://127.0.0.1:{proxy.getsockname()[1]}")
        program = supernode_program("fed.example.org:8443", port, files, through, tmp_path / "log", os.environ)
        running = launch(program, "test")
        try:
            asked, _ = proxy.accept()
            with asked:
                asked.settimeout(30)
                assert asked.recv(100).startswith(b"CONNECT fed.example.org:8443")
        finally:
            running.kill()


def test_a_loop_that_ends_ends_the_process() -> None:
    script = (
        "import sys, threading, types, client.supernode_main as m\n"
        "def loop(): threading.Thread(target=threading.Event().wait).start(); print(sys.argv[0])\n"
        "m.entry_points = lambda **of: (types.SimpleNamespace(load=lambda: loop),)\n"
        "m.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (LOOP_ENDED, f"{STARTING}\nflower-supernode\n")


def test_a_thread_that_ends_by_an_error_ends_the_process_and_says_why() -> None:
    script = (
        "import threading, types, client.supernode_main as m\n"
        "def loop(): threading.Thread(target=lambda: 1 / 0).start(); threading.Event().wait()\n"
        "m.entry_points = lambda **of: (types.SimpleNamespace(load=lambda: loop),)\n"
        "m.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == LOOP_ENDED
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("end", ["return", "1 / 0", "threading.Thread(target=lambda: 1 / 0).start(); waits()"])
def test_however_it_ends_no_thread_and_no_full_disk_keep_it_alive(end: str, full: bool) -> None:
    script = (
        "import sys, threading, types, client.supernode_main as m\n"
        "waits = threading.Event().wait\n"
        "def loop():\n"
        "    threading.Thread(target=waits).start()\n"
        f"    sys.stdout, sys.stderr = 2 * [open('/dev/{'full' if full else 'null'}', 'w')]\n"
        "    sys.stdout.write('last words')\n"
        f"    {end}\n"
        "m.entry_points = lambda **of: (types.SimpleNamespace(load=lambda: loop),)\n"
        "m.main()"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == LOOP_ENDED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_user_of_its_own_gets_copies_and_nothing_else(open_folder: Path) -> None:
    folder: SiteFolder = make_lab(open_folder / "lab").add("north")
    for closed in (open_folder / "lab", folder.path):  # as `check` asks for
        closed.chmod(0o711)
    secret = folder.path / "secret"
    secret.write_text("s")
    for _ in range(2):  # at every start anew
        files = node_files(folder.path, folder.joined(), secret, "nobody")
    nobody = pwd.getpwnam("nobody").pw_uid
    assert files.node_key.read_bytes() == folder.joined().node_key.read_bytes()
    for path in (files.node_key, files.authority, files.secret):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (nobody, 0o600)
    assert stat.S_IMODE(files.node_key.parent.stat().st_mode) == 0o700
    for path, readable in ((files.node_key, True), (folder.joined().node_key, False)):
        done = subprocess.run(["/bin/cat", path], user="nobody", capture_output=True, timeout=30, check=False)
        assert (done.returncode == 0) is readable


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can give files away; needs setpriv"
)
def test_the_rights_that_the_unit_leaves_are_enough_for_it(tmp_path: Path) -> None:
    site = make_lab(tmp_path / "lab").add("north")
    (site.path / "secret").write_text("s")
    script = (
        "import sys, pathlib; from client.site_folder import SiteFolder\n"
        "from client.supernode import clear_copies, node_files\n"
        "site = SiteFolder(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(2): node_files(site.path, site.joined(), site.path / 'secret', 'nobody')\n"
        "clear_copies(site.path)"
    )
    command = [*with_its_rights(), sys.executable, "-c", script, str(site.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (site.path / "supernode").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_copies_go_when_they_are_no_longer_needed(tmp_path: Path) -> None:
    site, copies = make_lab(tmp_path / "lab").add("north"), tmp_path / "lab" / "north" / "supernode"
    secret = site.path / "secret"
    secret.write_text("s")
    node_files(site.path, site.joined(), secret, "nobody")
    assert copies.exists()
    node_files(site.path, site.joined(), secret, None)  # taken out of site.toml
    assert not copies.exists()
    node_files(site.path, site.joined(), secret, "nobody")
    clear_copies(site.path)
    clear_copies(site.path)
    assert not copies.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_nothing_is_given_away_beside_what_its_user_has_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it makes files faster than they can be removed: a link among them would be followed as root."""
    site = make_lab(tmp_path / "lab").add("north")
    secret, copies = site.path / "secret", site.path / "supernode"
    secret.write_text("s")
    copies.mkdir()
    (copies / "node").symlink_to(secret)
    monkeypatch.setattr("client.supernode.clear_copies", lambda site_dir: None)
    with pytest.raises(StorageError, match=f"{copies}: cannot be written"):
        node_files(site.path, site.joined(), secret, "nobody")
    assert (secret.read_text(), secret.stat().st_uid) == ("s", 0)


def test_copies_go_however_deep_their_user_has_dug(tmp_path: Path) -> None:
    """Deeper than Python's own way of removing folders can follow."""
    place = copies_folder(tmp_path)
    place.mkdir()
    before = Path.cwd()
    try:
        os.chdir(place)
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(before)
    clear_copies(tmp_path)
    assert not place.exists()


def test_a_user_that_is_not_there(tmp_path: Path) -> None:
    folder = make_lab(tmp_path / "lab").add("north")
    with pytest.raises(UserError, match="no user 'nobody-at-all'"):
        node_files(folder.path, folder.joined(), tmp_path / "secret", "nobody-at-all")
