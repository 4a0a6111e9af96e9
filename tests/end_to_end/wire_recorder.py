"""Keeps what passes over connections, in the clear: each direction of each connection in a file of its own.

FOLDER/0001.up, 0001.down, 0002.up, ...; `up` is what the one who dialled sent. A piece is on disk before it is
passed on, so what has arrived has been kept.
"""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.provisioning import ServerFolder

_LOOPBACK = "127.0.0.1"
_PIECE_BYTES = 2**18
_HEAD_BYTES = 2**14
_LOOK_S = 0.2
_TIMEOUT_S = 30.0
_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Ends:
    """Of one connection; `near` is towards who dialled."""

    near: socket.socket
    far: socket.socket


Keep = Callable[[bytes], object]
Onward = Callable[[socket.socket, Keep], Ends]


def relay(port: int) -> Onward:
    """Bytes as they are, to a port of this machine."""
    return lambda near, keep: Ends(near, socket.create_connection((_LOOPBACK, port), _TIMEOUT_S))


def opened_tls(server: ServerFolder) -> Onward:
    """An HTTPS proxy that ends TLS with the aggregator's own key, and speaks TLS again to whom it was asked for.

    The connection's record begins with what the proxy was asked.
    """
    keys = server.server_keys()
    inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inward.load_cert_chain(keys.tls_certificate, keys.tls_key)
    outward = ssl.create_default_context(cafile=str(server.authority_certificate))

    def open_both(near: socket.socket, keep: Keep) -> Ends:
        head = _head(near)
        keep(head)
        method, target = head.split(b" ", 2)[:2]
        if method != b"CONNECT":
            raise ConnectionError(f"asked {method!r} of a proxy that knows CONNECT alone")
        host, _, port = target.decode().rpartition(":")
        far = outward.wrap_socket(
            socket.create_connection((host, int(port)), _TIMEOUT_S), server_hostname=host.strip("[]")
        )
        try:
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return Ends(inward.wrap_socket(near, server_side=True), far)
        except OSError:
            far.close()
            raise

    return open_both


def _head(near: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = near.recv(_HEAD_BYTES)
        if not piece or len(head) > _HEAD_BYTES:
            raise ConnectionError(f"no request of a proxy: {head[:80]!r}")
        head += piece
    return head


@contextmanager
def recording(folder: Path, onward: Onward) -> Iterator[int]:
    """Listen on loopback, pass connections on and keep them in a new folder; yields the port.

    Raises what a connection's thread did not foresee, at the end.
    """
    folder.mkdir()
    over = threading.Event()
    with socket.create_server((_LOOPBACK, 0)) as listener, ThreadPoolExecutor(_CONNECTIONS) as threads:
        listener.settimeout(_LOOK_S)
        accepting = threads.submit(_accept, listener, folder, onward, over, threads)
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()
            for connection in accepting.result():
                connection.result()


def _accept(
    listener: socket.socket, folder: Path, onward: Onward, over: threading.Event, threads: ThreadPoolExecutor
) -> list[Future[None]]:
    connections: list[Future[None]] = []
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            near, _ = listener.accept()
            record = folder / f"{len(connections) + 1:04}"
            connections.append(threads.submit(_record, near, record, onward, over))
    return connections


def _record(near: socket.socket, record: Path, onward: Onward, over: threading.Event) -> None:
    """One connection, until one of its ends hangs up; such an end is no error."""
    near.settimeout(_TIMEOUT_S)
    with (
        record.with_suffix(".up").open("wb", buffering=0) as up,
        record.with_suffix(".down").open("wb", buffering=0) as down,
        contextlib.suppress(OSError),
        near,
    ):
        ends = onward(near, up.write)
        with ends.near, ends.far:
            _pass_on(ends, up.write, down.write, over)


def _pass_on(ends: Ends, up: Keep, down: Keep, over: threading.Event) -> None:
    """One thread for both directions, since OpenSSL allows a connection no second one."""
    ways = {ends.near: (ends.far, up), ends.far: (ends.near, down)}
    while not over.is_set():
        opened = [one for one in ways if isinstance(one, ssl.SSLSocket) and one.pending()]
        for source in opened or select.select(list(ways), (), (), _LOOK_S)[0]:
            piece = _receive(source)
            if piece == b"":
                return
            if piece is not None:
                sink, keep = ways[source]
                keep(piece)
                sink.sendall(piece)


def _receive(source: socket.socket) -> bytes | None:
    """What has come; None when it is nothing to pass on yet, such as TLS's own messages or half of a record."""
    source.setblocking(False)
    try:
        return source.recv(_PIECE_BYTES)
    except (ssl.SSLWantReadError, BlockingIOError):
        return None
    finally:
        source.settimeout(_TIMEOUT_S)
