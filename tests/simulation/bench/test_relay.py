import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from simulation.bench.relay import CountingRelay, Traffic

QUESTION, ANSWER = b"q" * 300_000, b"a" * 1_000_000
TIMEOUT_S = 20.0


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server that reads a question to its end and sends an answer, twice."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, 2), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for a connection; closing does not
    thread.join(TIMEOUT_S)


def serve(listener: socket.socket, times: int) -> None:
    with contextlib.suppress(OSError):  # closed, or the other end is gone
        for _ in range(times):
            near, _ = listener.accept()
            with near:
                read_all(near)
                near.sendall(ANSWER)


def read_all(end: socket.socket) -> bytes:
    pieces = []
    while piece := end.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as end:
        end.sendall(QUESTION)
        end.shutdown(socket.SHUT_WR)
        return read_all(end)


def test_every_byte_is_passed_on_and_counted(server: int) -> None:
    with CountingRelay(server) as relay:
        assert ask(relay.port) == ANSWER
        first = relay.traffic()
        assert first == Traffic(up=300_000, down=1_000_000)
        assert ask(relay.port) == ANSWER
        assert relay.traffic() - first == Traffic(up=300_000, down=1_000_000)


def test_a_relay_that_has_ended_takes_no_connection(server: int) -> None:
    with CountingRelay(server) as relay:
        port = relay.port
        open_end = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    with open_end, contextlib.suppress(ConnectionResetError):  # it may not have been accepted yet
        assert open_end.recv(1) == b""
    with pytest.raises(OSError, match="refused"):
        ask(port)
