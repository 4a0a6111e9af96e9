"""What stands between a hospital and the aggregator, on loopback: a gateway with TLS, a proxy with CONNECT."""

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from server.provisioning import ServerFolder


@dataclass
class Stand:
    """A gateway that answers GET /health."""

    port: int
    date: str | None
    status: int = 200


@contextlib.contextmanager
def serving(server: http.server.HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10.0)


class QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, *_: Any) -> None:
        """A client that does not trust us hangs up in the handshake: what these tests are about."""


@contextlib.contextmanager
def gateway(found: Callable[[int], ServerFolder], tls: bool = True, date: str | None = None) -> Iterator[Stand]:
    """Serve with the certificate of a federation that is founded once the port is known.

    `date` is what the gateway takes for the time; the present when not given.
    """
    stand = Stand(0, date or formatdate(usegmt=True))

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5.0

        def do_GET(self) -> None:
            self.send_response_only(stand.status if self.path == "/health" else 404)
            if stand.date is not None:
                self.send_header("Date", stand.date)
            self.send_header("Content-Length", "0")
            self.end_headers()

    http_server = QuietServer(("127.0.0.1", 0), Handler)
    keys = found(int(http_server.server_address[1])).server_keys()
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(keys.tls_certificate, keys.tls_key)
        http_server.socket = context.wrap_socket(
            http_server.socket, server_side=True, do_handshake_on_connect=False
        )
    with serving(http_server) as port:
        stand.port = port
        yield stand


@contextlib.contextmanager
def proxy(user: str = "", allow: bool = True, tls: ServerFolder | None = None) -> Iterator[tuple[int, list[str]]]:
    """A proxy that knows CONNECT alone, and the lines it was asked with."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5.0

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            if user and self.headers.get("Proxy-Authorization") != user:
                self.send_error(407)
                return
            if not allow:
                self.send_error(403)
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), 5.0) as onward:
                self.send_response_only(200)
                self.end_headers()
                one = threading.Thread(target=pump, args=(onward, self.connection))
                one.start()
                pump(self.connection, onward)
                one.join(10.0)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.server_keys().tls_certificate, tls.server_keys().tls_key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with serving(server) as port:
        yield port, asked


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
