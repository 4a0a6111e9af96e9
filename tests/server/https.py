"""Raw requests over TLS, and a SuperLink stand-in that keeps every byte it was sent."""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_S = 10.0
Answer = Callable[[bytes, bytes], bytes | None]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Place:
    """Where a TLS server is, and whom to believe there; `certificate` and `key` are the client's own."""

    host: str
    port: int
    authority: Path
    certificate: Path | None = None
    key: Path | None = None

    def dial(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        plain = socket.create_connection((self.host, self.port), TIMEOUT_S)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return context.wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise


def post(path: str, body: bytes = b"", *headers: str) -> bytes:
    """A request as SuperNode makes them."""
    lines = [f"POST {path} HTTP/1.1", "host: fed", "content-type: application/protobuf"]
    lines += [f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(target: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "host: fed", *headers]).encode() + b"\r\n\r\n"


def read(connection: socket.socket, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of the next response."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        return response.status, response.read()
    finally:
        response.close()


def ask(place: Place, request: bytes, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    with place.dial() as connection:
        connection.sendall(request)
        return read(connection, method)


@dataclass
class StandIn:
    """What stands in for SuperLink: each request's head and body in order, with its connection's number."""

    port: int
    answer: Answer
    requests: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    broken: threading.Event = field(default_factory=threading.Event)

    def talk(self, number: int, connection: ssl.SSLSocket) -> None:
        with connection, connection.makefile("rb") as stream:
            while head := _head(stream.readline):
                size = next((int(x[15:]) for x in head.split(b"\r\n") if x.startswith(b"content-length:")), 0)
                body = stream.read(size)
                if len(body) < size:
                    self.broken.set()
                    return
                self.requests.append((number, head, body))
                said = self.answer(head, body)
                if said is None:
                    return
                connection.sendall(said)


def _head(readline: Callable[[], bytes]) -> bytes:
    lines = b""
    while line := readline():
        if line == b"\r\n":
            return lines
        lines += line
    return b""


@contextmanager
def stand_in(certificate: Path, key: Path, answer: Answer = lambda head, body: OK) -> Iterator[StandIn]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = StandIn(listener.getsockname()[1], answer)

        def one(number: int, plain: socket.socket) -> None:
            try:
                server.talk(number, context.wrap_socket(plain, server_side=True))
            except OSError:
                server.broken.set()
            finally:
                plain.close()

        def accept() -> None:
            number = 0
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                plain.settimeout(TIMEOUT_S)
                number += 1
                threading.Thread(target=one, args=(number, plain), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(TIMEOUT_S)
