"""A site whose machine's clock is wrong: what a real SuperLink behind the gateway takes, and what the site says.

Only the time that is signed is shifted, by an injected clock. The machine's own, the way and both servers are as
they are.
"""

import os
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.primitives.asymmetric import sign_message

from client.preflight_network import FAIL_AHEAD, FAIL_SKEW
from client.site_config import Folders, SiteConfig
from client.supernode import node_files, read_standing, supernode_program
from common.config import DataSection
from common.node_key import NodeKey
from server.gateway_config import GatewayLimits
from server.superlink import free_port
from tests.server.fleet import Fleet, running, wait_until
from tests.server.gateways import RunningGateway, gateway
from tests.server.https import ask, post

AHEAD_S, BEHIND_S = 5.0, 305.0  # flwr.common.constant: SYSTEM_TIME_TOLERANCE, and with it TIMESTAMP_TOLERANCE
_SHIFTED = """
import sys
from datetime import timedelta
import flwr.supernode.node_auth_http_interceptor as signing
from client.supernode_main import main
true, shift = signing.now, timedelta(seconds=float(sys.argv.pop(1)))
signing.now = lambda: true() + shift
main()
"""


@pytest.fixture(scope="module")
def front(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    root = tmp_path_factory.mktemp("gateway")
    with gateway(fleet.server, root, fleet.superlink_port, GatewayLimits(), fleet.host) as started:
        yield started


def sign_in(key: NodeKey, shift_s: float) -> bytes:
    """A request to sign in, signed at another time than now."""
    public = key.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed_at = (datetime.now(UTC) + timedelta(seconds=shift_s)).isoformat()
    values = {
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public).decode(),
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(key.key, signed_at.encode())).decode(),
        "flwr-timestamp": signed_at,
    }
    body = ActivateNodeRequest(public_key=public, heartbeat_interval=30.0).SerializeToString()
    return post("/v1/fleet/activate-node", body, *(f"{name}: {value}" for name, value in values.items()))


@pytest.mark.parametrize(
    ("shift_s", "in_time"),
    [
        (0.0, True),
        (AHEAD_S - 2.0, True),
        (AHEAD_S + 5.0, False),
        (3600.0, False),
        (-BEHIND_S + 30.0, True),
        (-BEHIND_S - 1.0, False),
        (-3600.0, False),
    ],
)
def test_what_was_signed_at_another_time_is_refused(
    fleet: Fleet, front: RunningGateway, shift_s: float, in_time: bool
) -> None:
    """By a site that is not registered, whom SuperLink refuses in other words once it believes the signature."""
    status, said = ask(front.place, sign_in(fleet.site("west").joined().node(), shift_s))
    assert (status != 401, b"Invalid SuperNode authentication" in said) == (in_time, not in_time)


@pytest.mark.parametrize("shift_s", [AHEAD_S + 25.0, -BEHIND_S - 55.0])
def test_a_site_whose_clock_is_wrong_is_not_let_in_and_says_so(
    fleet: Fleet, front: RunningGateway, tmp_path: Path, shift_s: float
) -> None:
    keys, log = fleet.site("south").joined(), tmp_path / "supernode.log"
    config = SiteConfig(
        data=DataSection(adapter="ucsf_bmsr", root=Path("/nowhere")), folders=Folders(cache=Path("/nowhere"))
    )
    files = node_files(tmp_path, keys, tmp_path / "secret", None)
    files.secret.write_text("s" * 64)
    address = f"{front.place.host}:{front.place.port}"
    usual = supernode_program(address, free_port(), files, config, log, {**os.environ, "NO_PROXY": "*"})
    options = usual.argv[usual.argv.index("--superlink") :]
    argv = (sys.executable, "-P", "-c", _SHIFTED, str(shift_s), *options)
    with running(replace(usual, argv=argv)) as launched:
        assert wait_until(lambda: launched.poll() is not None), log.read_text()
    told = read_standing(log)
    assert (told.connected, "SuperNode ID:" in log.read_text()) == (False, False)
    assert "or this machine's clock is wrong" in told.words


def test_the_check_fails_before_the_aggregator_refuses() -> None:
    """Of a date without fractions a second may be lost."""
    assert FAIL_AHEAD.total_seconds() <= AHEAD_S + 1.0
    assert FAIL_SKEW.total_seconds() < BEHIND_S
