"""The hospital's HTTPS proxy: where it is, and what it is told of who asks."""

import base64
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from common.joining import address_of

_ADVICE = "write http://proxy.example.org:3128, with user:password@ before the host if it asks for one"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that tunnels TLS by CONNECT.

    Attributes:
        url: as a program takes it in HTTPS_PROXY; may hold a password, so its `repr` leaves it out.
        tls: the way to the proxy itself is TLS.
        host, port: where it listens.
        authorization: value of the Proxy-Authorization header; None without a user.
    """

    url: str = field(repr=False)
    tls: bool
    host: str
    port: int
    authorization: str | None = field(repr=False)

    @property
    def address(self) -> str:
        """Host and port, without user and password."""
        return address_of(self.host, self.port)


def read_proxy(url: str) -> Proxy:
    """Take a proxy's URL apart: http(s)://[user[:password]@]host:port.

    Raises:
        ValueError: another form; the message does not repeat the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"not a proxy's address; {_ADVICE}") from None
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None or not plain:
        raise ValueError(f"not a proxy's address; {_ADVICE}")
    return Proxy(url.rstrip("/"), parts.scheme == "https", parts.hostname, port, _authorization(parts))


def _authorization(parts: SplitResult) -> str | None:
    """Basic authentication (RFC 7617): user "a", password "b" give "Basic YTpi"."""
    if parts.username is None:
        return None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"
