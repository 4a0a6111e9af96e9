"""A connection that ends at the gateway: name, TCP and the hospital's proxy, each with a limit in time."""

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.bounded import within
from client.proxy import Proxy
from common.expiry import Finding
from common.joining import address_of

_STAGE_S = 4.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the aggregator is, and who vouches for it.

    Attributes:
        host, port: as the kit has them.
        authority: PEM file with the federation's authority.
    """

    host: str
    port: int
    authority: Path

    @property
    def address(self) -> str:
        """As people write it."""
        return address_of(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is left of a whole walk, a stage at a time.

    Attributes:
        end_s: by time.monotonic().
    """

    end_s: float

    def stage_s(self) -> float:
        """Seconds for the next stage: four at most; a tenth at least, since 0 would mean not to wait at all."""
        return max(min(_STAGE_S, self.end_s - time.monotonic()), 0.1)


class UnreachableError(Exception):
    """A stage failed. `finding` says which, how, and what to do."""

    def __init__(self, what: str, found: str, advice: str) -> None:
        super().__init__(found)
        self.finding = Finding("fail", what, found, advice)


def open_route(gateway: Gateway, proxy: Proxy | None, limits: Limits) -> socket.socket:
    """Connect to the gateway, through the proxy where there is one; raises UnreachableError."""
    if proxy is None:
        return _connect(gateway.host, gateway.port, "gateway", limits)
    opened = _connect(proxy.host, proxy.port, "proxy", limits)
    try:
        if proxy.tls:
            opened = _tls_to_proxy(opened, proxy, limits)
        _ask_for_tunnel(opened, gateway, proxy, limits)
    except UnreachableError:
        opened.close()
        raise
    return opened


def _connect(host: str, port: int, whose: str, limits: Limits) -> socket.socket:
    """A TCP connection to the first address that takes it."""
    addresses = _look_up(host, port, whose, limits)
    refused: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(limits.stage_s())
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            refused = error
        else:
            return connection
    place = address_of(host, port)
    if isinstance(refused, TimeoutError):
        raise UnreachableError(
            "route",
            f"{place} ({whose}) does not answer",
            f"a firewall drops it as a rule: allow outbound TCP from this machine to {place}, or set proxy in "
            "site.toml",
        )
    advice = (
        f"ask the consortium whether its gateway runs, or allow outbound TCP to {place} in the firewall"
        if whose == "gateway"
        else "correct proxy in site.toml, or ask whether the proxy runs"
    )
    raise UnreachableError("route", f"{place} ({whose}) refuses: {reason_of(refused)}", advice)


def _look_up(host: str, port: int, whose: str, limits: Limits) -> list[tuple[Any, Any, int, str, Any]]:
    """Addresses of a name; the operating system's lookup has no time limit of its own."""
    try:
        return within(limits.stage_s(), lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except TimeoutError:
        reason = "the name server does not answer"
    except OSError as error:
        reason = reason_of(error)
    advice = (
        "have this machine's name server resolve it, or set proxy in site.toml, which then resolves it"
        if whose == "gateway"
        else "correct proxy in site.toml"
    )
    raise UnreachableError("route", f"no address for {host} ({whose}): {reason}", advice)


def _tls_to_proxy(connection: socket.socket, proxy: Proxy, limits: Limits) -> socket.socket:
    connection.settimeout(limits.stage_s())
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=proxy.host)
    except OSError as error:
        raise UnreachableError(
            "route",
            f"no TLS with the proxy {proxy.address}: {reason_of(error)}",
            "write http:// instead of https:// in site.toml if the proxy itself speaks no TLS, or add its "
            "authority to this machine's",
        ) from None


def _ask_for_tunnel(connection: socket.socket, gateway: Gateway, proxy: Proxy, limits: Limits) -> None:
    """CONNECT (RFC 9110, section 9.3.6)."""
    connection.settimeout(limits.stage_s())
    lines = [f"CONNECT {gateway.address} HTTP/1.1", f"Host: {gateway.address}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(connection, method="CONNECT")
        answer.begin()
        answer.close()
    except (OSError, http.client.HTTPException) as error:
        found = f"the proxy {proxy.address} does not open a tunnel: {reason_of(error)}"
        raise UnreachableError("route", found, "correct proxy in site.toml") from None
    if answer.status == 200:
        return
    advice = {
        407: "put user:password@ before the host of proxy in site.toml, the password as ${VARIABLE}",
        403: f"ask who runs the proxy to allow CONNECT to {gateway.address}",
        405: "this proxy makes no tunnels; ask for the one that does",
    }.get(answer.status, f"ask who runs the proxy whether it may reach {gateway.address}")
    raise UnreachableError(
        "route", f"the proxy {proxy.address} answers {answer.status} {answer.reason} to CONNECT", advice
    )


def reason_of(error: BaseException | None) -> str:
    """An error of a connection in a few words, without Python's numbers."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
