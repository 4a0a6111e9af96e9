"""The recorder keeps what passes, byte for byte, and keeps TLS's content rather than its look."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.provisioning import ServerFolder, init_federation
from tests.end_to_end.wire_recorder import opened_tls, recording, relay
from tests.server.https import OK, TIMEOUT_S, post, read, stand_in

SAID = post("/v1/fleet/push-object", b"\x00 a body of MUELLER^HANS " * 10_000)  # of many TLS records


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    return init_federation(
        tmp_path_factory.mktemp("recorded") / "fed", "BMFED", ("127.0.0.1",), 1, datetime.now(UTC)
    )


def ask_through(server: ServerFolder, proxy: int, port: int) -> tuple[int, bytes]:
    """Say it to the stand-in, through a proxy and with TLS that believes the federation's authority."""
    context = ssl.create_default_context(cafile=str(server.authority_certificate))
    with socket.create_connection(("127.0.0.1", proxy), TIMEOUT_S) as plain:
        plain.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert plain.recv(100) == b"HTTP/1.1 200 OK\r\n\r\n"
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(SAID)
            return read(connection, "POST")


def test_tls_is_kept_in_the_clear_and_as_it_passes(server: ServerFolder, tmp_path: Path) -> None:
    keys = server.server_keys()
    with (
        stand_in(keys.tls_certificate, keys.tls_key) as there,
        recording(tmp_path / "opened", opened_tls(server)) as opened,
        recording(tmp_path / "closed", relay(opened)) as proxy,
    ):
        for _ in range(2):
            assert ask_through(server, proxy, there.port) == (200, b"ok")
    asked = f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\n".encode()
    for number in ("0001", "0002"):
        opened_record, closed_record = tmp_path / "opened" / number, tmp_path / "closed" / number
        assert opened_record.with_suffix(".up").read_bytes() == asked + SAID
        assert opened_record.with_suffix(".down").read_bytes() == OK
        closed = closed_record.with_suffix(".up").read_bytes()
        assert closed.startswith(asked) and len(closed) > len(asked + SAID) and b"MUELLER" not in closed
    assert [body for _, _, body in there.requests] == [SAID.split(b"\r\n\r\n", 1)[1]] * 2


def test_who_asks_for_no_tunnel_gets_none_and_is_kept(server: ServerFolder, tmp_path: Path) -> None:
    asked = b"GET http://elsewhere.example.org/MUELLER HTTP/1.1\r\n\r\n"
    with (
        recording(tmp_path / "opened", opened_tls(server)) as proxy,
        socket.create_connection(("127.0.0.1", proxy), TIMEOUT_S) as plain,
    ):
        plain.sendall(asked)
        assert plain.recv(100) == b""
    assert (tmp_path / "opened" / "0001.up").read_bytes() == asked
