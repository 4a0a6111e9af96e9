"""The generated nginx configurations, read and run by a real nginx where one is installed."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.cli import app as site_app
from client.daemon_status import site_status
from client.sidecar import node_key_pem
from common.cli import run_app
from common.errors import KeyFileError, UserError
from common.keyfiles import load_key
from common.nginx import quoted
from server.cli import app as server_app
from server.nginx import NginxOptions, nginx_configuration
from server.registry import Status
from server.standing import set_standing
from server.superlink import free_port
from tests.end_to_end.shown import shown as shown_in
from tests.server.fleet import Fleet, add_site, daemon, supernode, wait_until
from tests.server.https import Place, ask, get, post
from tests.server.test_gateway import FORBIDDEN
from tests.trust import make_lab

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx is installed here")


@contextmanager
def nginx(config: Path) -> Iterator[Path]:
    """A real nginx in the foreground; yields its error log."""
    assert NGINX is not None
    log = config.parent / "error.log"
    extra = "daemon off;" + (
        " user root;" if os.geteuid() == 0 else ""
    )  # its workers must reach the test's folder
    command = [NGINX, "-e", str(log), "-c", str(config), "-g", extra]
    subprocess.run([*command, "-t", "-q"], check=True, timeout=20)
    process = subprocess.Popen(command, start_new_session=True)
    try:
        assert wait_until(lambda: listens(config) or process.poll() is not None, 10)
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def listens(config: Path) -> bool:
    found = re.search(r"listen (\S+):(\d+) ssl;", config.read_text())
    assert found is not None
    try:
        socket.create_connection((found[1], int(found[2])), 5.0).close()
    except ConnectionRefusedError:
        return False
    return True


def is_logged(log: Path, words: str) -> bool:
    """Whether the line comes: nginx writes it after it has answered."""
    refused = log.with_name("refused.log")
    return wait_until(lambda: words in refused.read_text(), 10)


def written(fleet: Fleet, *options: str) -> tuple[Path, Place]:
    """The aggregator's configuration as the command writes it, and where it will listen."""
    command = ("nginx", str(fleet.server.path), "--superlink-port", str(fleet.superlink_port), *options)
    assert run_app(server_app, "fedmets-server", (*command, "--listen", fleet.host)) == 0
    place = Place(fleet.host, fleet.server.federation.port, fleet.server.authority_certificate)
    return fleet.server.path / "nginx" / "nginx.conf", place


def shown(place: Place, fleet: Fleet, site: str) -> Place:
    """The same place, dialled with a site's node certificate."""
    keys = fleet.site(site).joined()
    return replace(place, certificate=keys.node_certificate, key=node_key_pem(keys))


@needs_nginx
def test_nginx_lets_pass_what_the_gateway_does_and_nothing_else(fleet: Fleet) -> None:
    config, place = written(fleet)
    with nginx(config) as log:
        assert ask(place, get("/health")) == (200, b"")
        assert ask(place, post("/v1/fleet/pull-messages"))[0] == 401
        refused = [ask(place, request)[0] for request in FORBIDDEN]
        assert set(refused) <= {400, 404} and refused.count(404) >= len(FORBIDDEN) - 1
        assert ask(place, get("/v1/fleet/pull-messages"))[0] == 404
        assert ask(place, post("/v1/fleet/push-object", b"", "content-length: 1"))[0] == 400
        head = post("/v1/fleet/push-object").replace(b"content-length: 0", b"content-length: 16777217")
        assert ask(place, head)[0] == 413
        assert is_logged(log, '404 "POST /v1/control/list-runs HTTP/1.1"')


@needs_nginx
def test_nginx_keeps_the_rate(fleet: Fleet) -> None:
    config, place = written(fleet)
    text = config.read_text()
    slowed = text.replace("rate=100r/s", "rate=1r/m").replace("burst=1000", "burst=3")
    assert slowed.count("rate=1r/m") == slowed.count("burst=3 nodelay") == 1
    config.write_text(slowed)
    with nginx(config):
        assert [ask(place, get("/health"))[0] for _ in range(5)] == [200] * 4 + [503]


@needs_nginx
def test_a_sites_daemon_signs_in_through_its_sidecar_and_nobody_without_a_good_certificate(fleet: Fleet) -> None:
    add_site(fleet, "gone", datetime.now(UTC).replace(microsecond=0))
    set_standing(fleet.server, "gone", Status.REMOVED, datetime.now(UTC).replace(microsecond=0))
    config, place = written(fleet, "--client-certificates")
    port = free_port()
    site = fleet.site("south")
    write = shown_in("operations.md", "fedmets-site nginx SITE_DIR", {"SITE_DIR": str(site.path)})
    assert run_app(site_app, "fedmets-site", (*write.split()[1:], "--port", str(port))) == 0
    run = shown_in("operations.md", "fedmets-site run SITE_DIR --sidecar PORT", {"PORT": str(port)})
    with nginx(config) as log, nginx(site.path / "sidecar" / "nginx.conf") as sidecar_log:
        with daemon(site, "", *run.split()[3:]):
            connected = wait_until(lambda: site_status(site, datetime.now(UTC)).connected)
            assert connected, (site.path / "logs" / "supernode.log").read_text() + sidecar_log.read_text()
        assert ask(shown(place, fleet, "south"), get("/health")) == (200, b"")
        assert ask(place, get("/health"))[0] == 400
        assert ask(shown(place, fleet, "gone"), get("/health"))[0] == 400
        assert is_logged(log, "FAILED:certificate revoked")
        with supernode(fleet, "north", f"{place.host}:{place.port}") as bare:
            assert not bare.signed_in()


def test_the_configuration_names_the_newest_keys_and_the_limits(tmp_path: Path) -> None:
    server = make_lab(tmp_path).server
    text = nginx_configuration(server, NginxOptions(18000))
    place = server.path.resolve()
    assert f'ssl_certificate_key "{place}/server/0001/tls.key";' in text
    assert {"ssl_verify_client", "ssl_crl"}.isdisjoint(re.findall(r"\w+", text))
    assert "client_max_body_size 16777216;" in text
    strict = nginx_configuration(server, NginxOptions(18000, client_certificates=True))
    assert f'ssl_crl "{place}/authority/authority.crl";' in strict
    assert "ssl_verify_client on;" in strict


def test_a_path_that_nginx_would_misread_is_refused() -> None:
    assert quoted(Path("/srv/my fed")) == '"/srv/my fed"'
    with pytest.raises(UserError, match="use a folder without quotes"):
        quoted(Path("/srv/$host"))


def test_the_nodes_key_as_pem_is_private_made_once_and_forgotten_with_the_other(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    keys = lab.add("north").joined()
    pem = node_key_pem(keys)
    assert node_key_pem(keys) == pem
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert load_key(pem, None).public_key() == keys.node().key.public_key()
    lab.renew("north", lab.server.federation.created_at)
    assert not pem.exists()
    pem.write_bytes(node_key_pem(lab.add("south").joined()).read_bytes())
    pem.chmod(0o600)
    new = lab.site("north").joined()
    pem.rename(new.node_pem)
    with pytest.raises(KeyFileError, match="not the key in node; remove it"):
        node_key_pem(new)
