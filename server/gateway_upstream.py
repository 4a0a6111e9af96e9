"""Connections from the gateway to SuperLink, kept open between requests."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.joining import address_of

# SuperLink's server closes a connection that was idle for 5 s. A request must not be sent into that moment, since
# one whose body is on its way already cannot be sent again.
IDLE_S = 2.5
CONNECT_S = 5.0
BUFFER_BYTES = 262144


@dataclass(slots=True)
class Connection:
    """Both directions of one TLS connection.

    Attributes:
        idle_since_s: when it was given back, on the monotonic clock.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    idle_since_s: float = 0.0

    def abort(self) -> None:
        """Drop it at once, unsent bytes included."""
        self.writer.transport.abort()


class Upstream:
    """Hands out connections; the one used last comes first, so that surplus ones age and go."""

    def __init__(self, host: str, port: int, authority: Path, clock: Callable[[], float]) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._context = ssl.create_default_context(cafile=str(authority))
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._idle: list[Connection] = []

    @property
    def name(self) -> str:
        """Host and port."""
        return address_of(self._host, self._port)

    async def connect(self) -> Connection:
        """An open connection; raises OSError or TimeoutError when SuperLink cannot be reached."""
        while self._idle:
            connection = self._idle.pop()
            fresh = self._clock() - connection.idle_since_s < IDLE_S
            if fresh and not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.abort()
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                self._host, self._port, ssl=self._context, limit=BUFFER_BYTES
            )
        return Connection(reader, writer)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end; surplus ones that aged are closed."""
        now = self._clock()
        while self._idle and now - self._idle[0].idle_since_s >= IDLE_S:
            self._idle.pop(0).abort()
        connection.idle_since_s = now
        self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()
