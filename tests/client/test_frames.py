import socket
import threading
from collections.abc import Iterator

import pytest

from client.frames import Frame, FrameError, FrameSocket


class GaveUpError(Exception):
    pass


@pytest.fixture
def ends() -> Iterator[tuple[FrameSocket, FrameSocket]]:
    one, other = socket.socketpair()
    with one, other:
        yield FrameSocket(one), FrameSocket(other)


def patient() -> float:
    return 5.0


def test_header_and_payload_arrive_as_they_were_sent(ends: tuple[FrameSocket, FrameSocket]) -> None:
    payload = bytes(range(256)) * 20_000  # more than a socket holds, so both ends have to wait
    sender = threading.Thread(target=ends[0].send, args=(Frame(b'{"a":1}', payload), patient))
    sender.start()
    frame = ends[1].receive(patient)
    sender.join(5)
    assert frame.header == b'{"a":1}'
    assert bytes(frame.payload) == payload


def test_frames_follow_one_another(ends: tuple[FrameSocket, FrameSocket]) -> None:
    for number in range(3):
        ends[0].send(Frame(b"%d" % number), patient)
    assert [ends[1].receive(patient).header for _ in range(3)] == [b"0", b"1", b"2"]


def test_who_waits_gives_up_when_his_patience_says_so(ends: tuple[FrameSocket, FrameSocket]) -> None:
    asked: list[int] = []

    def thrice() -> float:
        asked.append(1)
        if len(asked) > 3:
            raise GaveUpError
        return 0.01

    with pytest.raises(GaveUpError):
        ends[0].receive(thrice)
    assert len(asked) == 4
    asked.clear()
    with pytest.raises(GaveUpError):
        ends[0].send(Frame(b"", bytes(20_000_000)), thrice)


def test_an_end_that_hangs_up_is_noticed(ends: tuple[FrameSocket, FrameSocket]) -> None:
    ends[1].close()
    with pytest.raises(FrameError):
        ends[0].receive(patient)
    with pytest.raises(FrameError):
        ends[0].send(Frame(b"x"), patient)


def test_what_is_no_frame_is_refused(ends: tuple[FrameSocket, FrameSocket]) -> None:
    ends[0].send(Frame(b""), patient)
    assert ends[1].receive(patient) == Frame(b"", bytearray())
    ends[0]._socket.sendall(b"\xff" * 12)
    with pytest.raises(FrameError, match="none of ours"):
        ends[1].receive(patient)
