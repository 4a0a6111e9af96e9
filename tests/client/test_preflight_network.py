"""The walk to the gateway over real sockets: a TLS server with the federation's certificate, a CONNECT proxy."""

import shutil
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from client.preflight_network import check_network, judge_skew
from client.proxy import read_proxy
from client.route import Gateway
from common.expiry import Finding
from server.provisioning import ServerFolder, init_federation
from tests.client.gateway_stand import gateway, proxy

NOW = datetime.now(UTC).replace(microsecond=0)
DATE = format_datetime(NOW, usegmt=True)
LIMIT_S = 5.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    return init_federation(tmp_path_factory.mktemp("fed") / "fed", "BMFED", ("localhost",), 8443, NOW)


def authority_of(server: ServerFolder) -> Path:
    return server.path / "authority" / "authority.crt"


def walk(server: ServerFolder, port: int, host: str = "localhost", through: str | None = None) -> list[Finding]:
    target = Gateway(host, port, authority_of(server))
    return check_network(target, read_proxy(through) if through else None, lambda: NOW, LIMIT_S)


def said(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings}


def test_all_is_well(server: ServerFolder) -> None:
    with gateway(lambda _: server, date=DATE) as stand:
        findings = walk(server, stand.port)
    assert said(findings) == {"route": "ok", "TLS": "ok", "gateway": "ok", "clock": "ok"}
    assert "directly" in findings[0].finding


@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        (0, "ok"),
        (3, "ok"),
        (4, "warn"),
        (6, "warn"),
        (7, "fail"),
        (3600, "fail"),
        (-60, "ok"),
        (-61, "warn"),
        (-240, "warn"),
        (-241, "fail"),
    ],
)
def test_the_clock_is_compared_with_the_gateways(seconds: int, level: str) -> None:
    assert judge_skew(timedelta(seconds=seconds)).level == level


def test_a_clock_that_is_ahead_is_said_so_and_a_gateway_without_one_too(server: ServerFolder) -> None:
    with gateway(lambda _: server, date=DATE) as stand:
        stand.date = format_datetime(NOW - timedelta(seconds=250), usegmt=True)
        line = walk(server, stand.port)[-1].line
        assert line.startswith("fail  clock: 250 s ahead of the gateway's; set this machine's clock by NTP")
        for date in (None, "yesterday"):
            stand.date = date
            assert walk(server, stand.port)[-1].level == "warn"


def test_a_gateway_that_is_ill(server: ServerFolder) -> None:
    with gateway(lambda _: server, date=DATE) as stand:
        stand.status = 502
        findings = walk(server, stand.port)
    assert said(findings)["gateway"] == "fail"
    assert "502" in findings[2].finding


def test_a_closed_port_and_a_port_without_tls(server: ServerFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    (finding,) = walk(server, closed)
    assert (finding.what, finding.level) == ("route", "fail")
    assert "refuse" in finding.finding and "firewall" in finding.advice
    with gateway(lambda _: server, tls=False) as stand:
        findings = walk(server, stand.port)
    assert said(findings) == {"route": "ok", "TLS": "fail"}


def test_a_port_that_accepts_and_says_nothing_does_not_hold_us(server: ServerFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Gateway("localhost", silent.getsockname()[1], authority_of(server))
        findings = check_network(target, None, lambda: NOW, 0.3)
    assert said(findings) == {"route": "ok", "TLS": "fail"}
    assert "no answer in time" in findings[1].finding


def test_a_name_that_nobody_knows(server: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (finding,) = walk(server, 1, host="fed.example.invalid")
    assert finding.finding == "no address for fed.example.invalid (gateway): Name or service not known"
    assert "set proxy in site.toml" in finding.advice


def test_a_name_server_that_does_not_answer_is_left_behind(
    server: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: end.wait(30.0))
    try:
        target = Gateway("fed.example.invalid", 1, authority_of(server))
        (finding,) = check_network(target, None, lambda: NOW, 0.2)
    finally:
        end.set()
    assert "the name server does not answer" in finding.finding


def test_another_authority_and_another_name(server: ServerFolder, tmp_path: Path) -> None:
    other = init_federation(tmp_path / "other", "BMFED", ("localhost",), 8443, NOW)
    with gateway(lambda _: server, date=DATE) as stand:
        inspected = walk(other, stand.port)[-1]
        shutil.copy(authority_of(server), tmp_path / "authority.crt")
        named = check_network(
            Gateway("ip6-localhost.example", stand.port, tmp_path / "authority.crt"),
            read_proxy(f"http://127.0.0.1:{stand.port}"),
            lambda: NOW,
            LIMIT_S,
        )[-1]
    assert (inspected.what, inspected.level) == ("TLS", "fail")
    assert "a device that inspects TLS must let this address pass" in inspected.advice
    assert named.what == "route"  # a TLS port is no proxy


def test_a_name_that_the_certificate_lacks(server: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: known("127.0.0.1", *rest, **more))
    with gateway(lambda _: server, date=DATE) as stand:
        finding = walk(server, stand.port, host="evil.example.org")[-1]
    assert (finding.what, finding.level) == ("TLS", "fail")
    assert "Hostname mismatch" in finding.finding and "--host" in finding.advice


def test_an_expired_certificate_speaks_of_the_clock(server: ServerFolder, tmp_path: Path) -> None:
    old = init_federation(tmp_path / "old", "BMFED", ("localhost",), 8443, NOW - timedelta(days=400))
    with gateway(lambda _: old, date=DATE) as stand:
        finding = walk(old, stand.port)[-1]
    assert (finding.what, finding.level) == ("TLS", "fail")
    assert (
        finding.advice
        == "check this machine's clock; if it is right, the consortium must run fedmets-server rotate"
    )


def test_through_a_proxy_with_a_password(server: ServerFolder) -> None:
    with gateway(lambda _: server, date=DATE) as stand, proxy(user="Basic YTpi") as (port, asked):
        findings = walk(server, stand.port, through=f"http://a:b@127.0.0.1:{port}")
        refused = walk(server, stand.port, through=f"http://a:wrong@127.0.0.1:{port}")
    assert said(findings) == {"route": "ok", "TLS": "ok", "gateway": "ok", "clock": "ok"}
    assert asked == [f"localhost:{stand.port}"] * 2
    assert findings[0].finding == f"localhost:{stand.port} is reached through the proxy 127.0.0.1:{port}"
    assert (refused[0].level, "407" in refused[0].finding) == ("fail", True)
    assert "user:password@" in refused[0].advice
    assert not any("wrong" in finding.line for finding in refused)


def test_a_proxy_that_speaks_tls_itself(server: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_of(server)))
    with gateway(lambda _: server, date=DATE) as stand, proxy(tls=server) as (port, _):
        findings = walk(server, stand.port, through=f"https://localhost:{port}")
        plain = walk(server, stand.port, through=f"https://localhost:{stand.port}")
    assert said(findings) == {"route": "ok", "TLS": "ok", "gateway": "ok", "clock": "ok"}
    assert (plain[0].level, plain[0].what) == ("fail", "route")


def test_a_proxy_that_forbids_and_one_that_is_not_there(server: ServerFolder) -> None:
    with proxy(allow=False) as (port, _):
        (forbidden,) = walk(server, 8443, through=f"http://127.0.0.1:{port}")
    (gone,) = walk(server, 8443, through=f"http://127.0.0.1:{port}")
    assert "allow CONNECT to localhost:8443" in forbidden.advice
    assert (gone.finding, gone.advice) == (
        f"127.0.0.1:{port} (proxy) refuses: Connection refused",
        "correct proxy in site.toml, or ask whether the proxy runs",
    )
