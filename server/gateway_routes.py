"""Which requests pass the gateway, and how they read on its other side.

A request passes when its target is, byte for byte, one of a dozen paths: nothing is decoded or normalised, so that
there is no second reading of a path. Its head is then written anew, with one Content-Length, from what was parsed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import h11

Headers = Sequence[tuple[bytes, bytes]]

# What an enrolled SuperNode calls. Left out on purpose: register-node and unregister-node, which are the
# aggregator's own to call, behind the gateway.
FLEET_CALLS = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "get-run",
    "get-fab",
    "push-object",
    "pull-object",
    "confirm-message-received",
)
_METHODS: Mapping[bytes, tuple[bytes, ...]] = {
    **{f"/v1/fleet/{call}".encode(): (b"POST",) for call in FLEET_CALLS},
    b"/health": (b"GET", b"HEAD"),
}
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# Set by the gateway alone: SuperLink believes the forwarding headers of whoever comes from its own machine.
_OURS = frozenset((b"content-length", b"host", b"forwarded", b"x-real-ip"))
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Refused(Exception):
    """The request is answered with this status and the connection closed; never leaves the gateway."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request that may pass: its head for SuperLink, and how many bytes of body follow."""

    request: h11.Request
    body_bytes: int
    keep_alive: bool


def admit(request: h11.Request, upstream: str, address: str, body_limit: int) -> Forwarded:
    """Decide on one request by its head alone.

    Args:
        request: as parsed; h11 has refused a malformed head and contradicting lengths before.
        upstream: SuperLink's host and port, for the Host header.
        address: the client's, for SuperLink's log.
        body_limit: in bytes.

    Raises:
        Refused: 404 for any other path, 405, 505, 400 for an upgrade, 411 without a plain length, 413.
    """
    methods = _METHODS.get(request.target)
    if methods is None:
        raise Refused(HTTPStatus.NOT_FOUND, "not a path of the gateway")
    if request.method not in methods:
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "not a method of this path")
    if request.http_version not in (b"1.0", b"1.1"):
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "not HTTP/1.1")
    headers = dict(request.headers)
    if b"upgrade" in headers or any(_CONTROL.search(value) for _, value in request.headers):
        raise Refused(HTTPStatus.BAD_REQUEST, "an upgrade, or control characters in a header")
    has_body = request.method == b"POST"
    if b"transfer-encoding" in headers or (has_body and b"content-length" not in headers):
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "a body without Content-Length")
    size = int(headers.get(b"content-length", b"0"))
    limit = body_limit if has_body else 0
    if size > limit:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body of {size} bytes, limit {limit}")
    anew = [(b"host", upstream.encode()), *_end_to_end(request.headers), (b"x-forwarded-for", address.encode())]
    if has_body:
        anew.append((b"content-length", b"%d" % size))
    stays = request.http_version == b"1.1" and not says_close(request.headers)
    return Forwarded(h11.Request(method=request.method, target=request.target, headers=anew), size, stays)


def answer(response: h11.Response, keep_alive: bool) -> tuple[h11.Response, int]:
    """SuperLink's head as the client gets it, and its Content-Length.

    Raises:
        Refused: 502 for a response without a length, which SuperLink's Fleet API does not send.
    """
    headers = dict(response.headers)
    if b"content-length" not in headers or b"transfer-encoding" in headers:
        raise Refused(HTTPStatus.BAD_GATEWAY, "an answer of SuperLink without Content-Length")
    anew = [*_end_to_end(response.headers), (b"content-length", headers[b"content-length"])]
    if not keep_alive:
        anew.append((b"connection", b"close"))
    return h11.Response(status_code=response.status_code, headers=anew), int(headers[b"content-length"])


def refusal(refused: Refused) -> bytes:
    """A whole response without a body; nothing in it comes from the client."""
    retry = b"retry-after: 1\r\n" if refused.status is HTTPStatus.SERVICE_UNAVAILABLE else b""
    line = f"HTTP/1.1 {refused.status.value} {refused.status.phrase}\r\n".encode()
    return line + retry + b"content-length: 0\r\nconnection: close\r\n\r\n"


def _end_to_end(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers without those of one connection, which `Connection` may add to, and those that are the gateway's."""
    dropped = _HOP_BY_HOP | _OURS | _connection_options(headers)
    return [
        (name, value) for name, value in headers if name not in dropped and not name.startswith(b"x-forwarded-")
    ]


def says_close(headers: Headers) -> bool:
    """Whether a head ends its connection."""
    return b"close" in _connection_options(headers)


def _connection_options(headers: Headers) -> frozenset[bytes]:
    said = [value for name, value in headers if name == b"connection"]
    return frozenset(option.strip().lower() for value in said for option in value.split(b","))
