"""What passes the gateway, byte for byte, seen from a stand-in for SuperLink; real processes, real TLS."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.errors import KeyFileError, UserError
from server.gateway import listen, tls_context
from server.gateway_config import GatewayLimits, gateway_config
from server.provisioning import ServerFolder, init_federation
from tests.server.gateways import RunningGateway, gateway
from tests.server.https import OK, Answer, StandIn, ask, get, post, read, stand_in

PUSH = "/v1/fleet/push-object"
CHUNK = 5 * 2**20
TIGHT = GatewayLimits(
    body_bytes=4096,
    bodies_bytes_per_address=6000,
    header_bytes=2048,
    header_s=0.3,
    idle_s=0.3,
    body_s=0.3,
    slowest_bytes_per_s=2**20,
    response_s=0.3,
    connections_per_address=3,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    now = datetime.now(UTC).replace(microsecond=0)
    return init_federation(tmp_path_factory.mktemp("fed") / "fed", "BMFED", ("fed.example.org",), 8443, now)


@contextmanager
def pair(
    folder: ServerFolder, root: Path, limits: GatewayLimits, answer: Answer = lambda head, body: OK
) -> Iterator[tuple[RunningGateway, StandIn]]:
    keys = folder.server_keys()
    with (
        stand_in(keys.tls_certificate, keys.tls_key, answer) as server,
        gateway(folder, root, server.port, limits) as running,
    ):
        yield running, server


def chunks(head: bytes, body: bytes) -> bytes | None:
    """5 MiB for a pull, the number of bytes for a push, nothing for get-fab, garbage for get-run."""
    if b"get-fab" in head:
        return None
    if b"get-run" in head:
        return b"I am not HTTP\r\n\r\n"
    said = bytes(CHUNK) if b"pull-object" in head else str(len(body)).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(said) + said


@pytest.fixture(scope="module")
def wide(
    folder: ServerFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningGateway, StandIn]]:
    with pair(folder, tmp_path_factory.mktemp("wide"), GatewayLimits(), chunks) as both:
        yield both


@pytest.fixture(scope="module")
def tight(
    folder: ServerFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningGateway, StandIn]]:
    hold = threading.Event()

    def answer(head: bytes, body: bytes) -> bytes | None:
        if b"pull-messages" in head:
            hold.wait(5.0)
            return None
        return OK

    with pair(folder, tmp_path_factory.mktemp("tight"), TIGHT, answer) as both:
        yield both
        hold.set()


def test_chunks_pass_whole_both_ways_over_one_connection(wide: tuple[RunningGateway, StandIn]) -> None:
    running, server = wide
    body = os.urandom(CHUNK)
    before = len(server.requests)
    with running.place.dial() as connection:
        connection.sendall(post(PUSH, body))
        assert read(connection) == (200, b"5242880")
        connection.sendall(post("/v1/fleet/pull-object", b"x"))
        assert read(connection) == (200, bytes(CHUNK))
        connection.sendall(post(PUSH) + post(PUSH, b"abc"))  # two at once: answered in order
        assert [read(connection), read(connection)] == [(200, b"0"), (200, b"3")]
    seen = server.requests[before:]
    assert [received for _, _, received in seen] == [body, b"x", b"", b"abc"]
    assert len({number for number, _, _ in seen}) == 1


def test_the_head_is_written_anew(wide: tuple[RunningGateway, StandIn]) -> None:
    running, server = wide
    lies = ("x-forwarded-for: 192.0.2.99", "forwarded: for=192.0.2.99", "x-real-ip: 192.0.2.99", "te: trailers")
    named = ("connection: x-hop, keep-alive", "x-hop: 1", "flwr-signature: abc")
    assert ask(running.place, post(PUSH, b"abc", *lies, *named))[0] == 200
    head = server.requests[-1][1].decode().splitlines()
    assert head == [
        f"POST {PUSH} HTTP/1.1",
        f"host: 127.0.0.1:{server.port}",
        "content-type: application/protobuf",
        "flwr-signature: abc",
        "x-forwarded-for: 127.0.0.1",
        "content-length: 3",
    ]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post(PUSH, b"abc", "content-length: 4"), 400),
        (post(PUSH, b"0\r\n\r\n", "transfer-encoding: chunked"), 411),
        (get(PUSH, "transfer-encoding: chunked", method="POST") + b"0\r\n\r\n", 411),
        (get(PUSH, "transfer-encoding: chunked, identity", method="POST"), 501),
        (get(PUSH, "content-length: 1 1", method="POST"), 400),
        (get(PUSH, "content-length: +1", method="POST"), 400),
        (get(PUSH, method="POST"), 411),
        (get(PUSH, "content-length : 1", method="POST"), 400),
        (b"POST /v1/fleet/push-object HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n", 400),
        (post(PUSH, b"", "x: a\x01b"), 400),
        (post(PUSH, b"", "upgrade: h2c"), 400),
        (get("/health", "content-length: 5") + b"hello", 413),
        (get("/health", "upgrade: websocket", "connection: upgrade"), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
        (post(PUSH).replace(b"1.1", b"2.0"), 505),
        (b"\x00\x01\x02\r\n\r\n", 400),
        (get("fed:443", method="CONNECT"), 404),
        (get("*", method="OPTIONS"), 404),
        (get(PUSH), 405),
        (post("/health"), 405),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(
    wide: tuple[RunningGateway, StandIn], request_bytes: bytes, status: int
) -> None:
    assert ask(wide[0].place, request_bytes)[0] == status


def test_nothing_after_a_refused_request_is_looked_at(wide: tuple[RunningGateway, StandIn]) -> None:
    running, server = wide
    before = len(server.requests)
    hidden = post(PUSH, b"hidden")
    for refused in (post(PUSH, b"", "transfer-encoding: chunked"), post("/docs")):
        with running.place.dial() as connection:
            connection.sendall(refused + hidden)
            assert read(connection)[0] in (404, 411)
            assert connection.recv(1) == b""
    assert len(server.requests) == before


def test_a_client_that_leaves_in_a_body_costs_its_upstream_connection(
    wide: tuple[RunningGateway, StandIn],
) -> None:
    running, server = wide
    server.broken.clear()
    with running.place.dial() as connection:
        connection.sendall(post(PUSH, bytes(1000))[:-500])
    assert server.broken.wait(10.0)
    assert ask(running.place, post(PUSH, b"abc")) == (200, b"3")


def test_a_superlink_that_hangs_up_or_talks_nonsense_is_a_502(wide: tuple[RunningGateway, StandIn]) -> None:
    running, _ = wide
    assert ask(running.place, post("/v1/fleet/get-fab"))[0] == 502
    assert ask(running.place, post("/v1/fleet/get-run"))[0] == 502


def test_bodies_and_heads_above_their_limit_are_refused(tight: tuple[RunningGateway, StandIn]) -> None:
    running, server = tight
    assert ask(running.place, post(PUSH, bytes(4096)))[0] == 200
    seen = len(server.requests)
    assert ask(running.place, post(PUSH, bytes(4097)))[0] == 413
    assert ask(running.place, post(PUSH, b"", f"x: {'a' * 5000}"))[0] == 431
    assert len(server.requests) == seen


def test_slow_heads_slow_bodies_and_idle_connections_end(tight: tuple[RunningGateway, StandIn]) -> None:
    running, _ = tight
    with running.place.dial() as connection:
        connection.sendall(post(PUSH)[:-2])
        assert read(connection)[0] == 408
    with running.place.dial() as connection:
        connection.sendall(post(PUSH, bytes(100))[:-1])
        assert read(connection)[0] == 408
    with running.place.dial() as connection:
        assert connection.recv(1) == b""
    with running.place.dial() as connection:
        connection.sendall(post(PUSH))
        assert read(connection)[0] == 200
        assert connection.recv(1) == b""


def test_a_superlink_that_does_not_answer_is_a_504(tight: tuple[RunningGateway, StandIn]) -> None:
    assert ask(tight[0].place, post("/v1/fleet/pull-messages"))[0] == 504


def test_one_address_has_so_many_connections_and_bytes_under_way(folder: ServerFolder, tmp_path: Path) -> None:
    limits = TIGHT.model_copy(update={"header_s": 10.0, "idle_s": 10.0, "body_s": 10.0})
    with pair(folder, tmp_path, limits) as (running, _):
        with running.place.dial() as one, running.place.dial() as two:
            one.sendall(post(PUSH, bytes(4096))[:-1])
            wait_for_bytes(two)
            with running.place.dial() as three:
                with pytest.raises(OSError):  # a TLS error or a reset
                    running.place.dial().close()
                three.sendall(post(PUSH, bytes(4096)))
                assert read(three)[0] == 503
            one.sendall(b"\0")
            assert read(one)[0] == 200
        with running.place.dial() as connection:
            connection.sendall(post(PUSH, bytes(4096)))
            assert read(connection)[0] == 200
        assert re.search(r"refused 127\.0\.0\.1 a connection: too many are open", running.log.read_text())


def wait_for_bytes(connection: socket.socket) -> None:
    """A request and its answer: what was sent before on other connections has been read by then."""
    connection.sendall(get("/health"))
    assert read(connection)[0] == 200


def test_too_many_requests_are_refused_and_said_once_each(folder: ServerFolder, tmp_path: Path) -> None:
    limits = GatewayLimits(burst=5, requests_per_s=0.001)
    with pair(folder, tmp_path, limits) as (running, server):
        with running.place.dial() as connection:  # the connection itself takes the first
            for _ in range(4):
                connection.sendall(post(PUSH))
                assert read(connection)[0] == 200
            connection.sendall(post(PUSH))
            assert read(connection)[0] == 503
        with pytest.raises(OSError):
            running.place.dial()
        assert len(server.requests) == 4
        lines = [line.split("gateway: ")[1] for line in running.log.read_text().splitlines()]
        assert lines == [
            "refused 127.0.0.1 503 POST /v1/fleet/push-object: too many requests",
            "refused 127.0.0.1 a connection: too many requests",
        ]


def test_sigterm_lets_a_request_end_and_closes_the_idle(folder: ServerFolder, tmp_path: Path) -> None:
    arrived, go = threading.Event(), threading.Event()

    def answer(head: bytes, body: bytes) -> bytes:
        arrived.set()
        go.wait(10.0)
        return OK

    with pair(folder, tmp_path, GatewayLimits(drain_s=10.0), answer) as (running, _):
        with running.place.dial() as idle, running.place.dial() as busy:
            busy.sendall(post(PUSH))
            assert arrived.wait(10.0)
            running.process.terminate()
            assert idle.recv(1) == b""
            with pytest.raises(OSError):
                running.place.dial()
            go.set()
            assert read(busy) == (200, b"ok")
            assert busy.recv(1) == b""
        assert running.process.wait(10.0) == 0


def test_without_superlink_health_is_a_502(folder: ServerFolder, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with gateway(folder, tmp_path, nobody.getsockname()[1], GatewayLimits()) as running:
            assert ask(running.place, get("/health"))[0] == 502
            assert running.end() == 0


def test_a_taken_address_and_a_key_open_to_others_are_one_line(folder: ServerFolder, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)
    key = tmp_path / "tls.key"
    key.write_bytes(folder.server_keys().tls_key.read_bytes())
    key.chmod(0o640)
    config = gateway_config(folder, 18000)
    with pytest.raises(KeyFileError, match="mode 0640"):
        tls_context(config.model_copy(update={"key": key}))
    with pytest.raises(KeyFileError, match="does not serve with"):
        tls_context(config.model_copy(update={"key": folder.authority_key}))
