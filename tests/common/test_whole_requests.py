"""How many pieces of a request's body an application is told of, behind a real server."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from common.whole_requests import WHOLE_UP_TO_BYTES, WholeRequests, hand_over_whole

BODY = bytes(range(256)) * 4096 * 3  # 3 MiB


class Counted:
    """An application that answers with nothing and remembers the pieces that it was told of."""

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.body = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.pieces.append(len(message["body"]))
            self.body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def served(app: Counted, protocol: type[HttpToolsProtocol]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(30)


def pieces_of(body: bytes, protocol: type[HttpToolsProtocol]) -> list[int]:
    app = Counted()
    with served(app, protocol) as url, httpx.Client(trust_env=False) as client:
        assert client.post(url, content=body, timeout=60).status_code == 204
        assert app.body == body
        first, app.pieces, app.body = app.pieces, [], b""
        assert client.post(url, content=b"again", timeout=60).status_code == 204  # over the same connection
        assert app.pieces == [5]
    return first


def test_a_body_comes_in_one_piece_and_unchanged() -> None:
    assert len(pieces_of(BODY, HttpToolsProtocol)) > 10
    assert pieces_of(BODY, WholeRequests) == [len(BODY)]
    assert pieces_of(b"", WholeRequests) == [0]


def test_a_body_beyond_the_limit_comes_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.whole_requests.WHOLE_UP_TO_BYTES", 2**20)
    pieces = pieces_of(BODY, WholeRequests)
    assert 2 <= len(pieces) <= 4
    assert max(pieces) < 2 * 2**20 < WHOLE_UP_TO_BYTES


def test_it_is_what_uvicorn_takes_by_itself_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    hand_over_whole()
    config = uvicorn.Config(Counted(), ws="none")
    config.load()
    assert config.http_protocol_class is WholeRequests
