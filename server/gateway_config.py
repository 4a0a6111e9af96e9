"""What the gateway is told: one JSON file, and the limits it keeps."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from common.errors import ConfigError
from common.joining import Host
from common.schema import Frozen
from server.provisioning import ServerFolder

Seconds = Annotated[float, Field(gt=0, le=3600)]
Count = Annotated[int, Field(ge=1)]
_MIB = 2**20


class GatewayLimits(Frozen):
    """How much one client, and all of them together, may ask for.

    The defaults leave an honest site alone: a model of 400 MB is about 85 requests of 5 MiB each way, which the
    burst holds several times over, and the refill lets 500 MB a second follow.

    Attributes:
        body_bytes: largest request; Flower's chunks are 5 MiB, its other requests a few KiB.
        bodies_bytes, bodies_bytes_per_address: largest sum of the requests under way, which SuperLink holds in
            memory until each is whole.
        header_bytes: largest request line with headers.
        requests_per_s, burst: per address, a token bucket.
        connections, connections_per_address: open at once. At the first, new ones wait; beyond the second they
            are closed.
        handshake_s, header_s: for the TLS handshake and for a request's head, from its first byte.
        idle_s: of a connection between two requests.
        body_s, slowest_bytes_per_s: a body, of a request or an answer, must be through in the first plus its size
            over the second.
        response_s: until SuperLink answers a whole request.
        drain_s: for requests under way when the gateway is told to end.
    """

    body_bytes: Count = 16 * _MIB
    bodies_bytes: Count = 1024 * _MIB
    bodies_bytes_per_address: Count = 256 * _MIB
    header_bytes: Annotated[int, Field(ge=1024, le=_MIB)] = 16384
    requests_per_s: Annotated[float, Field(gt=0)] = 100.0
    burst: Count = 1000
    connections: Annotated[int, Field(ge=1, le=10000)] = 512
    connections_per_address: Count = 64
    handshake_s: Seconds = 10.0
    header_s: Seconds = 10.0
    idle_s: Seconds = 75.0
    body_s: Seconds = 30.0
    slowest_bytes_per_s: Count = 32768
    response_s: Seconds = 60.0
    drain_s: Annotated[float, Field(ge=0, le=60)] = 3.0

    def body_deadline_s(self, size_bytes: int) -> float:
        """Seconds that a body may take: 30 s + 160 s for 5 MiB with the defaults."""
        return self.body_s + size_bytes / self.slowest_bytes_per_s


class GatewayConfig(Frozen):
    """One gateway.

    Attributes:
        listen: address to listen at; "::" takes IPv4 too.
        port: 0 lets the kernel choose; the gateway prints which.
        certificate, key: shown to clients; the key in PEM form without passphrase, mode 0600.
        authority: who issued the certificate of the SuperLink behind.
        upstream, upstream_port: SuperLink's loopback address.
    """

    schema_version: Literal[1] = 1
    listen: Host = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65535)]
    certificate: Path
    key: Path
    authority: Path
    upstream: Host = "127.0.0.1"
    upstream_port: Annotated[int, Field(ge=1, le=65535)]
    limits: GatewayLimits = GatewayLimits()


def gateway_config(
    folder: ServerFolder, superlink_port: int, limits: GatewayLimits | None = None, listen: str = "0.0.0.0"
) -> GatewayConfig:
    """The gateway of a federation: its port, the newest TLS key, SuperLink on 127.0.0.1.

    Raises:
        EnrollmentError: the folder holds no keys.
        ConfigError: `listen` is no address.
    """
    try:
        TypeAdapter(Host).validate_python(listen)
    except ValidationError:
        raise ConfigError(f"--listen {listen!r}: not an address; give one such as 0.0.0.0 or ::") from None
    keys = folder.server_keys()
    return GatewayConfig(
        listen=listen,
        port=folder.federation.port,
        certificate=keys.tls_certificate.absolute(),
        key=keys.tls_key.absolute(),
        authority=folder.authority_certificate.absolute(),
        upstream_port=superlink_port,
        limits=limits or GatewayLimits(),
    )


def read_gateway_config(path: Path) -> GatewayConfig:
    """Read the file that the gateway is started with; raises ConfigError, which names every fault."""
    try:
        return GatewayConfig.from_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the gateway's configuration ({error.strerror})") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigError(f"{path}: not a gateway's configuration: {faults}") from None
