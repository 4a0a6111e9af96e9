"""The gateway in front of a real SuperLink, seen from another address than the loopback one."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import FedmetsError
from server.flower_cli import FlowerCli
from server.gateway_config import GatewayLimits
from server.superlink import executable, flower_environment, is_healthy
from tests.server.fleet import Fleet, supernode
from tests.server.gateways import RunningGateway, gateway
from tests.server.https import Place, ask, get, post

FORBIDDEN = (
    post("/v1/fleet/register-node"),
    post("/v1/fleet/unregister-node"),
    post("/v1/control/register-node"),
    post("/v1/control/start-run"),
    post("/v1/control/list-runs"),
    post("/v1/control/stream-logs"),
    post("/v1/runtime/acquire-task"),
    post("/v1/runtime/pull-object"),
    post("/v1/fleet/../control/list-runs"),
    post("/v1/fleet/%2e%2e/control/list-runs"),
    post("/v1/fleet/%2E%2E%2Fcontrol%2Flist-runs"),
    post("//v1/control/list-runs"),
    post("/health/../v1/control/list-runs"),
    post("https://127.0.0.1/v1/control/list-runs"),
    get("/docs"),
    get("/redoc"),
    get("/openapi.json"),
    get("/"),
)


@pytest.fixture(scope="module")
def front(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    root = tmp_path_factory.mktemp("gateway")
    with gateway(fleet.server, root, fleet.superlink_port, GatewayLimits(), fleet.host) as running:
        yield running


def test_from_outside_only_the_fleet_calls_and_health_are_there(fleet: Fleet, front: RunningGateway) -> None:
    inside = Place("127.0.0.1", fleet.superlink_port, fleet.server.authority_certificate)
    assert ask(inside, post("/v1/control/list-runs"))[0] == 200  # what the gateway is for
    assert ask(inside, get("/docs"))[0] == 200
    assert [ask(front.place, request)[0] for request in FORBIDDEN] == [404] * len(FORBIDDEN)
    assert ask(front.place, get("/health")) == (200, b"")
    assert ask(front.place, get("/health", method="HEAD"), "HEAD") == (200, b"")
    assert is_healthy(front.place.host, front.place.port, fleet.server.authority_certificate)
    assert ask(front.place, post("/v1/fleet/pull-messages"))[0] == 401  # SuperLink's own word, through the gateway
    assert ask(front.place, get("/v1/fleet/pull-messages"))[0] == 405


def test_superlink_itself_cannot_be_reached_from_outside(fleet: Fleet) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((fleet.host, fleet.superlink_port), 5.0)


def test_flowers_own_commands_register_and_see_nothing_through_it(
    fleet: Fleet, front: RunningGateway, tmp_path: Path
) -> None:
    address, authority = f"{front.place.host}:{front.place.port}", fleet.server.authority_certificate
    (tmp_path / "config.toml").write_text(
        f'[superlink]\ndefault = "fed"\n[superlink.fed]\naddress = "{address}"\n'
        f'root-certificates = "{authority}"\n'
    )
    environment = flower_environment(fleet.server, os.environ) | {"FLWR_HOME": str(tmp_path), "NO_PROXY": "*"}
    cli = FlowerCli(executable("flwr"), tmp_path, environment)
    public = str(fleet.site("west").joined().path / "node.pub")
    for command in (("supernode", "register", public, "fed"), ("list", "fed")):
        with pytest.raises(FedmetsError, match="404"):
            cli.call(*command)
    lines = front.log.read_text().splitlines()
    assert any(f"refused {fleet.host} 404 POST /v1/control/register-node" in line for line in lines)


def test_an_enrolled_sites_supernode_signs_in_and_another_key_does_not(
    fleet: Fleet, front: RunningGateway
) -> None:
    address = f"{front.place.host}:{front.place.port}"
    with supernode(fleet, "north", address) as enrolled, supernode(fleet, "west", address) as unregistered:
        assert enrolled.signed_in(), enrolled.log.read_text()
        assert not unregistered.signed_in()
        assert unregistered.exit_code() not in (0, None)
        assert enrolled.launched.poll() is None


def test_another_federations_authority_is_not_believed(fleet: Fleet, front: RunningGateway) -> None:
    stranger = fleet.server.path / "server" / "0001" / "tls.crt"
    with pytest.raises(OSError, match="certificate verify failed"):
        replace(front.place, authority=stranger).dial()
