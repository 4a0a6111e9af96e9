"""A gateway whose certificate ends while connections are open: they end with the answer under way."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.certificates import Role
from server.authority import BACKDATED, LIFETIMES
from server.gateway_config import GatewayLimits
from server.provisioning import ServerFolder, init_federation
from tests.server.gateways import RunningGateway, gateway
from tests.server.https import OK, get, read, stand_in

LEFT_S = 10.0  # until the certificate ends: the gateway starts and is asked once before


@pytest.fixture
def ends(tmp_path: Path) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LEFT_S)


@pytest.fixture
def running(tmp_path: Path, ends: datetime) -> Iterator[RunningGateway]:
    then = ends - LIFETIMES[Role.GATEWAY] + BACKDATED
    folder: ServerFolder = init_federation(tmp_path / "fed", "BMFED", ("fed.example.org",), 8443, then)
    certificate, key = folder.server_keys().loopback
    with (
        stand_in(certificate, key, lambda head, body: OK) as server,
        gateway(folder, tmp_path, server.port, GatewayLimits()) as one,
    ):
        yield one


def test_a_site_finds_out_at_its_next_request(running: RunningGateway, ends: datetime) -> None:
    with closing(running.place.dial()) as connection:
        connection.sendall(get("/health"))
        assert read(connection) == (200, b"ok")
        time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 0.1)
        connection.sendall(get("/health"))
        assert read(connection) == (200, b"ok")
        assert connection.recv(1) == b""
    with pytest.raises(OSError, match="certificate has expired"):
        running.place.dial()
