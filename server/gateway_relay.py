"""Bytes from one stream to another, and the heads before them."""

import asyncio

import h11

from server.gateway_upstream import BUFFER_BYTES

Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


class SourceGone(Exception):
    """The side that was to send has hung up."""


class TargetGone(Exception):
    """The side that was to receive has hung up."""


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, size: int) -> None:
    """Pass `size` bytes on, `first` of them at hand already, no faster than they are taken.

    Holds about a quarter MiB in each direction, whatever the size.

    Raises:
        SourceGone, TargetGone: one side ended before all had passed.
    """
    if first:
        writer.write(first)
    left = size - len(first)
    while True:
        try:
            await writer.drain()
        except OSError:
            raise TargetGone from None
        if left == 0:
            return
        piece = await _read(reader, min(left, BUFFER_BYTES))
        writer.write(piece)
        left -= len(piece)


async def next_head(parser: h11.Connection, reader: asyncio.StreamReader, buffered: bytes, limit: int) -> Event:
    """Feed a parser until it has a head, or finds that the other side closed in order.

    Args:
        parser: h11's; it refuses an unfinished head above its own limit.
        reader: the other side.
        buffered: read before.
        limit: largest piece to read, in bytes; a finished head is at most this much above the parser's limit.

    Raises:
        SourceGone: the connection broke.
        h11.RemoteProtocolError: not HTTP, or more of it than allowed.
    """
    if buffered:
        parser.receive_data(buffered)
    while (event := parser.next_event()) is h11.NEED_DATA:
        try:
            parser.receive_data(await reader.read(limit))
        except OSError:
            raise SourceGone from None
    return event


async def _read(reader: asyncio.StreamReader, most: int) -> bytes:
    try:
        piece = await reader.read(most)
    except OSError:
        raise SourceGone from None
    if not piece:
        raise SourceGone
    return piece
