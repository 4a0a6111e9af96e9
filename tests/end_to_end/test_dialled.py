"""Where a process's connections lead, against sockets of this process."""

import os
import socket

import pytest

from tests.end_to_end.dialled import Remote, remotes


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_connection_is_seen_while_it_is_held(family: socket.AddressFamily, host: str) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener:
        there = Remote(host, listener.getsockname()[1])
        assert there not in remotes([os.getpid()])  # what only listens leads nowhere
        with socket.create_connection((there.host, there.port)):
            assert there in remotes([os.getpid()])
            assert remotes([]) == set()
        assert there not in remotes([os.getpid()])


def test_a_datagram_socket_that_has_a_peer_is_seen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", 53))  # sends nothing
        assert Remote("127.0.0.1", 53) in remotes([os.getpid()])
