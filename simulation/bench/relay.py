"""A relay on loopback that counts the bytes of the connections through it, TLS and HTTP included."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_LOOPBACK = "127.0.0.1"
_PIECE = 2**18
_LARGE = 2**12  # no question, answer or sign of life between the tasks is


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes through a relay so far: `up` towards the server, `down` from it."""

    up: int
    down: int

    def __sub__(self, earlier: "Traffic") -> "Traffic":
        return Traffic(self.up - earlier.up, self.down - earlier.down)


class CountingRelay:
    """Passes connections to `port` on to a server's port, both on this machine; a context manager.

    It costs processor time (two copies of every byte), so what is counted through it should not be timed.

    Args:
        target: the server's port.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((_LOOPBACK, 0))
        self._lock = threading.Lock()
        self._bytes = {"up": 0, "down": 0}
        self._open: set[socket.socket] = set()
        self._closed = False

    @property
    def port(self) -> int:
        """Where to connect."""
        return int(self._listener.getsockname()[1])

    def traffic(self) -> Traffic:
        """Bytes passed on so far."""
        with self._lock:
            return Traffic(**self._bytes)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            ends = [*self._open, self._listener]
        for end in ends:
            _shut(end)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed: the relay has ended
                return
            try:
                far = socket.create_connection((_LOOPBACK, self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                if self._closed:
                    near.close()
                    far.close()
                    return
                self._open |= {near, far}
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        """Both directions of one connection, until both have ended."""
        back = threading.Thread(target=self._pass_on, args=(far, near, "down"), daemon=True)
        back.start()
        self._pass_on(near, far, "up")
        back.join()
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()

    def _note(self, direction: str, size: int) -> None:
        """Hear of a piece that has come and is about to be passed on."""

    def _pass_on(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        buffer = memoryview(bytearray(_PIECE))
        with contextlib.suppress(OSError):
            while got := source.recv_into(buffer):
                self._note(direction, got)
                sink.sendall(buffer[:got])
                with self._lock:
                    self._bytes[direction] += got
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class ArrivalRelay(CountingRelay):
    """Also knows when the pieces of large messages went down, on the wall clock."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._times: list[float] = []

    def last_before(self, moment: float) -> float:
        """When the last piece before this moment went down.

        Raises:
            ValueError: none did.
        """
        return max(each for each in tuple(self._times) if each < moment)

    def _note(self, direction: str, size: int) -> None:
        if direction == "down" and size >= _LARGE:
            self._times.append(time.time())


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
