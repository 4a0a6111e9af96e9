"""Preflight of the way to the gateway: name, connection, proxy, TLS, answer and clock, one after the other.

Each stage has a time limit and a message that an IT officer can act on; the first that fails ends the walk, since
the later ones stand on it.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from urllib3.util.ssltransport import SSLTransport

from client.proxy import Proxy
from client.route import Gateway, Limits, UnreachableError, open_route, reason_of
from common.expiry import Finding, Level

WARN_SKEW = timedelta(seconds=60)
FAIL_SKEW = timedelta(seconds=240)  # client/freshness.py; a signed request counts until it is 305 s old
# SuperLink takes no request that was signed over 5 s after its own time. Dates of HTTP have no fractions: a second
# of what is measured is theirs.
WARN_AHEAD = timedelta(seconds=3)
FAIL_AHEAD = timedelta(seconds=6)
_ASK = "ask the consortium whether fedmets-server up runs"


def check_network(
    gateway: Gateway, proxy: Proxy | None, now: Callable[[], datetime], limit_s: float
) -> list[Finding]:
    """Walk to the gateway as the SuperNode will.

    Args:
        gateway: where to.
        proxy: the hospital's, if the way out is through one.
        now: this machine's clock.
        limit_s: for the whole walk; a stage has four seconds of it at most.
    """
    limits = Limits(time.monotonic() + limit_s)
    way = f"through the proxy {proxy.address}" if proxy is not None else "directly"
    findings: list[Finding] = []
    try:
        with open_route(gateway, proxy, limits) as route:
            findings.append(Finding("ok", "route", f"{gateway.address} is reached {way}"))
            with _open_tls(route, gateway, limits) as secured:
                about = f"{secured.version()}, the federation's certificate for {gateway.host}"
                findings += [Finding("ok", "TLS", about), *_health(secured, gateway, limits, now)]
    except UnreachableError as stop:
        findings.append(stop.finding)
    return findings


def _open_tls(route: socket.socket, gateway: Gateway, limits: Limits) -> ssl.SSLSocket | SSLTransport:
    """TLS with the federation's authority alone and the gateway's own name."""
    try:
        context = ssl.create_default_context(cafile=str(gateway.authority))
    except (OSError, ssl.SSLError) as error:
        found = f"{gateway.authority}: {reason_of(error)}"
        raise UnreachableError("TLS", found, "restore it from its backup") from None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    route.settimeout(limits.stage_s())
    try:
        if isinstance(route, ssl.SSLSocket):  # an https:// proxy: TLS within TLS, which ssl has no socket for
            return SSLTransport(route, context, server_hostname=gateway.host)
        return context.wrap_socket(route, server_hostname=gateway.host)
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError("TLS", f"{gateway.address}: {error.verify_message}", _distrust(error)) from None
    except OSError as error:
        raise UnreachableError(
            "TLS",
            f"{gateway.address}: no TLS: {reason_of(error)}",
            "ask the consortium whether this is its gateway's port; a device that inspects TLS must let this "
            "address pass",
        ) from None


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """What to do, by OpenSSL's code (x509_vfy.h)."""
    if error.verify_code in (9, 10):
        return "check this machine's clock; if it is right, the consortium must run fedmets-server rotate"
    if error.verify_code in (62, 64):
        return "ask the consortium to add this name with fedmets-server rotate --host, or for a new kit"
    return (
        "another authority vouches for it: a device that inspects TLS must let this address pass; if there is "
        "none, tell the consortium, for this is not its gateway"
    )


def _health(
    secured: ssl.SSLSocket | SSLTransport, gateway: Gateway, limits: Limits, now: Callable[[], datetime]
) -> list[Finding]:
    """GET /health, and what its Date says of this machine's clock."""
    secured.settimeout(limits.stage_s())
    connection = http.client.HTTPConnection(gateway.host, gateway.port)
    connection.sock = secured
    try:
        connection.request("GET", "/health", headers={"User-Agent": "fedmets", "Connection": "close"})
        answer = connection.getresponse()
        before = now()
    except (OSError, http.client.HTTPException) as error:
        found = f"{gateway.address}: no answer to GET /health: {reason_of(error)}"
        return [Finding("fail", "gateway", found, _ASK)]
    if answer.status == 200:
        return [Finding("ok", "gateway", f"{gateway.address} is at work"), _clock(answer, before)]
    found = f"{gateway.address}: answers {answer.status} {answer.reason} to GET /health"
    return [Finding("fail", "gateway", found, _ASK), _clock(answer, before)]


def _clock(answer: http.client.HTTPResponse, now: datetime) -> Finding:
    try:
        theirs = parsedate_to_datetime(answer.headers["Date"] or "")
    except (TypeError, ValueError):
        return Finding("warn", "clock", "the gateway does not say its time", "keep this machine on NTP")
    skew = now - (theirs if theirs.tzinfo is not None else theirs.replace(tzinfo=UTC))
    return judge_skew(skew)


def judge_skew(skew: timedelta) -> Finding:
    """Judge this machine's time minus the gateway's.

    Ahead: ok to 3 s, fail beyond 6 s. Behind: ok to 60 s, fail beyond 240 s.
    """
    seconds = skew.total_seconds()
    found = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the gateway's"
    warn, fail = (WARN_AHEAD, FAIL_AHEAD) if seconds > 0 else (WARN_SKEW, FAIL_SKEW)
    if abs(skew) <= warn:
        return Finding("ok", "clock", found)
    level: Level = "fail" if abs(skew) > fail else "warn"
    advice = (
        "set this machine's clock by NTP; the aggregator refuses it when over 5 s ahead, or over 5 minutes behind"
    )
    return Finding(level, "clock", found, advice)
