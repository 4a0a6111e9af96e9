"""The least that a round could take: the same bytes to every site and back through TLS on loopback."""

import socket
import ssl
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.certificates import Holder, Role, pem_of
from server.authority import create_issuer, issue

_LOOPBACK = "127.0.0.1"
_PIECE = 2**18
_WAIT_S = 120.0


def raw_copy_s(sites: int, size_bytes: int) -> float:
    """Seconds to send so many bytes to each site and as many back, all at once, in threads of one process.

    Handshakes are not counted. Raises OSError when a connection breaks.
    """
    with tempfile.TemporaryDirectory(prefix="fedmets-raw-tls-") as name:
        server, client = _contexts(Path(name))
    with socket.create_server((_LOOPBACK, 0)) as door:
        payload = memoryview(bytes(size_bytes))
        ready = threading.Barrier(2 * sites + 1)
        with ThreadPoolExecutor(2 * sites) as pool:
            ends = [pool.submit(_serve, door, server, payload, ready) for _ in range(sites)]
            ends += [pool.submit(_visit, door.getsockname()[1], client, payload, ready) for _ in range(sites)]
            ready.wait(_WAIT_S)
            begun_s = time.perf_counter()
            for end in ends:
                end.result(_WAIT_S)
            return time.perf_counter() - begun_s


def _serve(door: socket.socket, context: ssl.SSLContext, payload: memoryview, ready: threading.Barrier) -> None:
    plain, _ = door.accept()
    with context.wrap_socket(plain, server_side=True) as connection:
        ready.wait(_WAIT_S)
        connection.sendall(payload)
        _take(connection, len(payload))
        connection.sendall(b"x")


def _visit(port: int, context: ssl.SSLContext, payload: memoryview, ready: threading.Barrier) -> None:
    with (
        socket.create_connection((_LOOPBACK, port), _WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname=_LOOPBACK) as connection,
    ):
        ready.wait(_WAIT_S)
        _take(connection, len(payload))
        connection.sendall(payload)
        _take(connection, 1)


def _take(connection: ssl.SSLSocket, size_bytes: int) -> None:
    buffer = memoryview(bytearray(_PIECE))
    while size_bytes:
        got = connection.recv_into(buffer[: min(_PIECE, size_bytes)])
        if not got:
            raise ConnectionError("the other side has hung up")
        size_bytes -= got


def _contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    now = datetime.now(UTC)
    issuer, key = create_issuer("bench", now), ec.generate_private_key(ec.SECP384R1())
    certificate = issue(issuer, Holder("bench", Role.GATEWAY, "raw"), key.public_key(), now, (_LOOPBACK,))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both = folder / "server.pem"
    both.write_bytes(private + pem_of(certificate).encode())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(both)
    return server, ssl.create_default_context(cadata=pem_of(issuer.certificate))
