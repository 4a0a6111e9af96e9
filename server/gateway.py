"""The gateway: the aggregator's one open port. `python -m server.gateway CONFIG.json`

It speaks TLS outward, forwards what an enrolled SuperNode calls and /health to SuperLink, and answers everything
else with 404. Once it listens it prints one line; GET /health answers 200 through it once SuperLink is up, and 502
before. SIGTERM or SIGINT: nothing new is taken, requests under way may end within `drain_s`, then it exits with 0.
"""

import asyncio
import contextlib
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.certificates import read_certificate
from common.errors import FedmetsError, KeyFileError, UserError
from common.joining import address_of
from common.keyfiles import read_private_file
from server.gateway_config import GatewayConfig, read_gateway_config
from server.gateway_connection import Service, serve
from server.gateway_limits import BodyBudget, RefusalLog, Seats, TokenBuckets, limited_as
from server.gateway_upstream import BUFFER_BYTES, Connection, Upstream

_SHUTDOWN_S = 2.0  # for the end of a TLS connection
_BACKLOG = 128
_USAGE = "usage: python -m server.gateway CONFIG.json"


def main(argv: Sequence[str]) -> int:
    """Run a gateway until it is told to end; returns the exit code."""
    if len(argv) != 1:
        print(_USAGE, file=sys.stderr)
        return UserError.exit_code
    try:
        config = read_gateway_config(Path(argv[0]))
        asyncio.run(run_gateway(config))
    except FedmetsError as error:
        print(f"gateway: error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


async def run_gateway(config: GatewayConfig) -> None:
    """Listen, serve, and drain after SIGTERM or SIGINT.

    Raises:
        KeyFileError: the key is missing, open to others or not the certificate's.
        UserError: the address is taken, or not one of this machine.
    """
    limits = config.limits
    service = Service(
        limits,
        Upstream(config.upstream, config.upstream_port, config.authority, time.monotonic),
        TokenBuckets(limits.requests_per_s, limits.burst, time.monotonic),
        BodyBudget(limits.bodies_bytes, limits.bodies_bytes_per_address),
        RefusalLog(_say, time.monotonic),
    )
    tls = tls_context(config)
    service.ends = read_certificate(config.certificate.read_bytes()).not_valid_after_utc
    _allow_files(2 * limits.connections + 64)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clients: set[asyncio.Task[None]] = set()
    with listen(config.listen, config.port) as listener:
        host, port = listener.getsockname()[:2]
        print(f"gateway: listening at {address_of(host, port)} for {service.upstream.name}", flush=True)
        accepting = asyncio.create_task(_accept(listener, tls, service, clients))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((accepting, stopping), return_when=asyncio.FIRST_COMPLETED)
        accepting.cancel()
    await _drain(clients, service)


def tls_context(config: GatewayConfig) -> ssl.SSLContext:
    """TLS 1.2 and up with the gateway's certificate; raises KeyFileError."""
    read_private_file(config.key)  # refuses one that others may read
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(config.certificate, config.key, password=lambda: b"")  # never ask a terminal
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or error
        raise KeyFileError(
            f"{config.key}: does not serve with {config.certificate} ({reason}); restore both from one backup"
        ) from None
    return context


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises UserError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        place, reason = (
            address_of(host, port),
            str(error.strerror).partition(" (while ")[0],
        )  # Python adds the place
        raise UserError(
            f"cannot listen at {place}: {reason}; end what listens there or choose another port or address"
        ) from None
    listener.setblocking(False)
    return listener


async def _accept(
    listener: socket.socket, tls: ssl.SSLContext, service: Service, clients: set[asyncio.Task[None]]
) -> None:
    """Take connections for ever; when as many are open as may be, the next one waits for an end."""
    loop = asyncio.get_running_loop()
    free = asyncio.Semaphore(service.limits.connections)
    seats = Seats(service.limits.connections_per_address)
    while True:
        await free.acquire()
        try:
            plain, peer = await loop.sock_accept(listener)
        except OSError as error:  # out of file descriptors, or the client was faster
            free.release()
            service.log.note("-", f"a connection: {error.strerror}")
            await asyncio.sleep(0.1)
            continue
        task = asyncio.create_task(_admit(plain, peer[0], tls, service, seats))
        clients.add(task)
        task.add_done_callback(clients.discard)
        task.add_done_callback(lambda _: free.release())


async def _admit(plain: socket.socket, address: str, tls: ssl.SSLContext, service: Service, seats: Seats) -> None:
    """Serve one connection if its address has one left; a refusal costs no handshake."""
    client = limited_as(address)
    if not seats.take(client):
        service.log.note(address, "a connection: too many are open")
        plain.close()
        return
    try:
        if service.rates.take(client):
            await _serve_over_tls(plain, address, tls, service)
        else:
            service.log.note(address, "a connection: too many requests")
            plain.close()
    finally:
        seats.give_back(client)


async def _serve_over_tls(plain: socket.socket, address: str, tls: ssl.SSLContext, service: Service) -> None:
    loop = asyncio.get_running_loop()
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = asyncio.StreamReader(BUFFER_BYTES, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            plain,
            ssl=tls,
            ssl_handshake_timeout=service.limits.handshake_s,
            ssl_shutdown_timeout=_SHUTDOWN_S,
        )
    except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
        service.log.note(address, f"a connection: no TLS handshake ({type(error).__name__})")
        return
    client = Connection(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
    try:
        await serve(client, address, service)
    finally:
        client.writer.close()
        try:
            with contextlib.suppress(OSError, TimeoutError):
                await client.writer.wait_closed()
        finally:
            client.abort()


async def _drain(clients: set[asyncio.Task[None]], service: Service) -> None:
    """Let requests under way end; connections without one are closed at once."""
    service.draining = True
    for task in tuple(service.between):
        task.cancel()
    for wait_s in (service.limits.drain_s, 1.0):
        if clients:
            _, left = await asyncio.wait(tuple(clients), timeout=wait_s)
            for task in left:
                task.cancel()
    service.upstream.close()


def _allow_files(count: int) -> None:
    """Raise the limit on open files, as far as it may be: a connection takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} gateway: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
