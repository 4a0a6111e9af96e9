"""Counters that keep one client from taking what belongs to all."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from server.gateway_routes import Refused

Seconds = Callable[[], float]
_PRUNE_ABOVE = 1024


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class TokenBuckets:
    """One bucket for each key: `burst` tokens at first, `per_s` more each second, never above `burst`.

    With 2 a second and a burst of 5: five at once, then one each half second.
    """

    def __init__(self, per_s: float, burst: int, clock: Seconds) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._prune_above = _PRUNE_ABOVE

    def take(self, key: str) -> bool:
        """Take a token; False when there is none."""
        now = self._clock()
        if len(self._buckets) > self._prune_above:
            self._prune(now)
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        bucket.tokens = self._filled(bucket, now)
        bucket.at_s = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def __len__(self) -> int:
        return len(self._buckets)

    def _filled(self, bucket: _Bucket, now: float) -> float:
        return min(self._burst, bucket.tokens + (now - bucket.at_s) * self._per_s)

    def _prune(self, now: float) -> None:
        """Forget full buckets, which are as good as new; seldom enough that it costs nothing."""
        self._buckets = {key: one for key, one in self._buckets.items() if self._filled(one, now) < self._burst}
        self._prune_above = 2 * len(self._buckets) + _PRUNE_ABOVE


class Seats:
    """Connections open at once, by address."""

    def __init__(self, per_address: int) -> None:
        self._per_address = per_address
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """Take a seat; False when this address holds as many as it may."""
        if self._taken[address] >= self._per_address:
            return False
        self._taken[address] += 1
        return True

    def give_back(self, address: str) -> None:
        """Free a seat that was taken."""
        self._taken[address] -= 1
        if self._taken[address] == 0:
            del self._taken[address]


class BodyBudget:
    """The bytes of all requests under way, together and by address."""

    def __init__(self, limit_bytes: int, per_address_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self._per_address_bytes = per_address_bytes
        self._taken: Counter[str] = Counter()

    @contextmanager
    def reserved(self, address: str, size_bytes: int) -> Iterator[None]:
        """Hold this many bytes for the time of a request; raises Refused, 503, when they are not free."""
        if size_bytes > min(self._left_bytes, self._per_address_bytes - self._taken[address]):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many bodies under way")
        self._left_bytes -= size_bytes
        self._taken[address] += size_bytes
        try:
            yield
        finally:
            self._left_bytes += size_bytes
            self._taken[address] -= size_bytes
            if self._taken[address] == 0:
                del self._taken[address]


class RefusalLog:
    """One line for each refusal, as long as nobody refuses fast enough to fill the disk with them.

    Beyond 200 lines at once, then 10 a second, lines are counted, and the next line that is written says how many.
    """

    def __init__(self, write: Callable[[str], None], clock: Seconds) -> None:
        self._write = write
        self._lines = TokenBuckets(10, 200, clock)
        self._left_out = 0

    def note(self, address: str, what: str) -> None:
        """Write down who was refused what."""
        if not self._lines.take("line"):
            self._left_out += 1
            return
        if self._left_out:
            self._write(f"{self._left_out} refusals were left out here")
            self._left_out = 0
        self._write(f"refused {address} {what}")


def limited_as(address: str) -> str:
    """Whom limits take for one client: an IPv4 address, or the /64 network of an IPv6 address.

    192.0.2.7 stays itself, ::ffff:192.0.2.7 is 192.0.2.7, 2001:db8::1:2 is 2001:db8::/64.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
