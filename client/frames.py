"""Messages between a process and its child over a socket pair: a JSON header and raw bytes, nothing pickled.

A frame is the header's length (4 bytes, big-endian), the payload's length (8 bytes), the header, the payload.
"""

import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from common.identity import Bytes

_LENGTHS = struct.Struct(">IQ")
_LARGEST_HEADER_BYTES = 16_000_000  # a layout of many thousand tensors
_LARGEST_PAYLOAD_BYTES = 1 << 36

Patience: TypeAlias = Callable[[], float]
"""Asked before every wait: how many seconds to wait at most before it is asked again; it raises to give up."""


class FrameError(Exception):
    """The other end is gone, or what it sends is no frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    header: bytes
    payload: Bytes = b""


class FrameSocket:
    """One end of the pair; no call waits longer than its patience lasts."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setblocking(False)

    def send(self, frame: Frame, patience: Patience) -> None:
        """Send one message; raises FrameError, and whatever `patience` raises."""
        payload = memoryview(frame.payload).cast("B")
        for part in (_LENGTHS.pack(len(frame.header), len(payload)), frame.header, payload):
            self._send_all(memoryview(part), patience)

    def receive(self, patience: Patience) -> Frame:
        """Wait for one message; raises FrameError, and whatever `patience` raises."""
        header_size, payload_size = _LENGTHS.unpack(self._receive_all(_LENGTHS.size, patience))
        if header_size > _LARGEST_HEADER_BYTES or payload_size > _LARGEST_PAYLOAD_BYTES:
            raise FrameError(f"a frame of {header_size} and {payload_size} bytes is none of ours")
        header = self._receive_all(header_size, patience)
        return Frame(bytes(header), self._receive_all(payload_size, patience))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _send_all(self, data: memoryview, patience: Patience) -> None:
        while data:
            seconds = patience()
            select.select([], [self._socket], [], seconds)
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise FrameError(f"the other end is gone ({error.strerror})") from None

    def _receive_all(self, size: int, patience: Patience) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            seconds = patience()
            select.select([self._socket], [], [], seconds)
            try:
                count = self._socket.recv_into(view)
            except BlockingIOError:
                continue
            except OSError as error:
                raise FrameError(f"the other end is gone ({error.strerror})") from None
            if count == 0:
                raise FrameError("the other end is gone")
            view = view[count:]
        return data
