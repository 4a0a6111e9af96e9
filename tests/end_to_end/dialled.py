"""Where the connections of running processes lead, as the kernel lists them."""

import contextlib
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TABLES = ("tcp", "tcp6", "udp", "udp6")
_SOCKET = "socket:["


@dataclass(frozen=True, slots=True)
class Remote:
    """A connection's other end."""

    host: str
    port: int


def remotes(pids: Iterable[int]) -> set[Remote]:
    """The other ends of these processes' connections, at this moment."""
    held = {inode for pid in pids for inode in _sockets(pid)}
    return {remote for inode, remote in _connections() if inode in held}


def _sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # it has ended
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(handle.readlink())
                if target.startswith(_SOCKET):
                    found.add(target[len(_SOCKET) : -1])
    return found


def _connections() -> list[tuple[str, Remote]]:
    """inode and other end of every connection; what only listens has port 0 there."""
    found = []
    for table in _TABLES:
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            row = line.split()
            host, port = row[2].split(":")
            if int(port, 16):
                found.append((row[9], Remote(_address(host), int(port, 16))))
    return found


def _address(text: str) -> str:
    """The kernel prints words of 32 bits in the machine's own order: 0100007F is 127.0.0.1 on x86."""
    words = (int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8))
    packed = b"".join(words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
