"""One client's connection: its requests one after another, each decided by its head and then streamed through.

No body is parsed: its length is known from the head, and the bytes pass in pieces. A connection to SuperLink is
used again only after an exchange that was complete to the byte on both sides.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

import h11

from server.gateway_config import GatewayLimits
from server.gateway_limits import BodyBudget, RefusalLog, TokenBuckets, limited_as
from server.gateway_relay import SourceGone, TargetGone, next_head, relay
from server.gateway_routes import Forwarded, Refused, admit, answer, refusal, says_close
from server.gateway_upstream import BUFFER_BYTES, Connection, Upstream

_LINGER_S = 2.0
_QUIET_S = 0.25


@dataclass(slots=True)
class Service:
    """What all connections share.

    Attributes:
        between: tasks of connections that wait for a request, and can be ended without loss.
        draining: no further request is taken.
        ends: of the gateway's certificate.
    """

    limits: GatewayLimits
    upstream: Upstream
    rates: TokenBuckets
    bodies: BodyBudget
    log: RefusalLog
    between: set[asyncio.Task[None]] = field(default_factory=set)
    draining: bool = False
    ends: datetime | None = None

    def keeps_connections(self) -> bool:
        """Whether a connection may take another request.

        None does once the certificate has ended: a site would go on with the connection that it has, whose
        certificate it checked once, and take itself for connected while its signs of life, which need new ones, no
        longer get through. So it finds out at its next request.
        """
        return not self.draining and (self.ends is None or datetime.now(UTC) <= self.ends)


async def serve(client: Connection, address: str, service: Service) -> None:
    """Answer one client until it leaves, is refused, or the gateway ends.

    Args:
        client: after the TLS handshake.
        address: the client's.
        service: limits and SuperLink.
    """
    client_key, buffered, patience_s = limited_as(address), b"", service.limits.header_s
    asked = "before a request"
    try:
        while not service.draining:
            parser = h11.Connection(h11.SERVER, max_incomplete_event_size=service.limits.header_bytes)
            request = await _next_request(client, parser, buffered, patience_s, service)
            if request is None:
                return
            asked = f"{request.method.decode()} {request.target[:120].decode()}"
            if not service.rates.take(client_key):
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests")
            forwarded = admit(request, service.upstream.name, address, service.limits.body_bytes)
            with service.bodies.reserved(client_key, forwarded.body_bytes):
                buffered = await _exchange(client, parser, forwarded, service)
            if not (forwarded.keep_alive and service.keeps_connections()):
                return
            patience_s, asked = service.limits.idle_s, "before a request"
    except Refused as refused:
        service.log.note(address, f"{refused.status.value} {asked}: {refused.why}")
        await _refuse(client, refused)
    except (SourceGone, TargetGone, TimeoutError) as broken:
        service.log.note(address, f"cut {asked}: {type(broken).__name__}")
        client.abort()


async def _next_request(
    client: Connection, parser: h11.Connection, buffered: bytes, patience_s: float, service: Service
) -> h11.Request | None:
    """The head of the next request; None when the client left or was idle for too long.

    Raises:
        Refused: 400, 431 or 501 as h11 finds; 408 for a head that takes too long.
    """
    task = asyncio.current_task()
    assert task is not None
    service.between.add(task)
    limits = service.limits
    try:
        if not buffered:
            async with asyncio.timeout(patience_s):
                buffered = await client.reader.read(limits.header_bytes)
    except (TimeoutError, OSError):
        return None
    finally:
        service.between.discard(task)
    try:
        async with asyncio.timeout(limits.header_s):
            event = await next_head(parser, client.reader, buffered, limits.header_bytes)
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the head took too long") from None
    except h11.RemoteProtocolError as error:
        raise Refused(HTTPStatus(error.error_status_hint), "not a request") from None
    except SourceGone:
        return None
    return event if isinstance(event, h11.Request) else None


async def _exchange(client: Connection, parser: h11.Connection, forwarded: Forwarded, service: Service) -> bytes:
    """Stream one request up and its answer down; returns what of the client's next request was read already.

    Raises:
        Refused: 502 or 504 from SuperLink's side, 408 for a body that takes too long; nothing was answered yet.
        SourceGone, TargetGone, TimeoutError: the answer broke off on its way, or the client did.
    """
    limits, size = service.limits, forwarded.body_bytes
    ahead = parser.trailing_data[0]
    if parser.they_are_waiting_for_100_continue:
        client.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        server = await service.upstream.connect()
    except (OSError, TimeoutError):
        raise Refused(HTTPStatus.BAD_GATEWAY, "SuperLink cannot be reached") from None
    complete = False
    try:
        talk = h11.Connection(h11.CLIENT)
        server.writer.write(talk.send(forwarded.request) or b"")
        await _send_up(client, server, ahead[:size], size, limits)
        response = await _read_answer(talk, server, limits.response_s)
        keep_alive = forwarded.keep_alive and service.keeps_connections()
        head, length = answer(response, keep_alive)
        if forwarded.request.method == b"HEAD":
            length = 0
        arrived = talk.trailing_data[0]
        client.writer.write(parser.send(head) or b"")
        async with asyncio.timeout(limits.body_deadline_s(length)):
            await relay(server.reader, client.writer, arrived[:length], length)
        complete = len(arrived) <= length and not says_close(response.headers)
    finally:
        if complete:
            service.upstream.give_back(server)
        else:
            server.abort()
    return ahead[size:]


async def _send_up(client: Connection, server: Connection, first: bytes, size: int, limits: GatewayLimits) -> None:
    try:
        async with asyncio.timeout(limits.body_deadline_s(size)):
            await relay(client.reader, server.writer, first, size)
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the body took too long") from None
    except TargetGone:
        raise Refused(HTTPStatus.BAD_GATEWAY, "SuperLink hung up on a request") from None


async def _read_answer(talk: h11.Connection, server: Connection, within_s: float) -> h11.Response:
    try:
        async with asyncio.timeout(within_s):
            event = await next_head(talk, server.reader, b"", BUFFER_BYTES)
            while isinstance(event, h11.InformationalResponse):
                event = await next_head(talk, server.reader, b"", BUFFER_BYTES)
    except TimeoutError:
        raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "SuperLink took too long") from None
    except (SourceGone, h11.RemoteProtocolError):
        event = None
    if not isinstance(event, h11.Response):
        raise Refused(HTTPStatus.BAD_GATEWAY, "SuperLink hung up instead of answering")
    return event


async def _refuse(client: Connection, refused: Refused) -> None:
    """Answer, and read on until the client is quiet: a reset for unread bytes would overtake the answer."""
    client.writer.write(refusal(refused))
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            await client.writer.drain()
            while await asyncio.wait_for(client.reader.read(BUFFER_BYTES), _QUIET_S):
                pass
