"""The aggregator's own keys, one folder a generation: an Ed25519 identity and a P-384 TLS key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from common.certificates import Holder, Role, pem_of, read_certificate
from common.durable import storage_errors, write_durably
from common.identity import IdentityKey
from common.keyfiles import forget_private_file, save_key
from common.sealed import Passphrase
from server.authority import Issuer, issue

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class NewServerKeys:
    """Keys that were just made, with their certificates."""

    identity: IdentityKey
    identity_certificate: x509.Certificate
    tls_key: ec.EllipticCurvePrivateKey = field(repr=False)
    tls_certificate: x509.Certificate

    def save(self, folder: Path, passphrase: Passphrase | None) -> None:
        """Write the four files into a folder of their own; raises StorageError."""
        files = ServerKeys(folder)
        self.identity.save(files.identity_key, passphrase)
        save_key(files.tls_key, self.tls_key, None)
        write_durably(folder / "identity.crt", pem_of(self.identity_certificate).encode())
        write_durably(files.tls_certificate, pem_of(self.tls_certificate).encode())


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The files of one generation."""

    folder: Path

    @property
    def generation(self) -> int:
        """1 for the first."""
        return int(self.folder.name)

    @property
    def identity_key(self) -> Path:
        """Private, possibly sealed; signs plans, tasks, kits and releases."""
        return self.folder / "identity.key"

    @property
    def tls_key(self) -> Path:
        """Private; for the gateway and for the loopback server behind it."""
        return self.folder / "tls.key"

    @property
    def tls_certificate(self) -> Path:
        """In PEM form; names every host and the loopback addresses."""
        return self.folder / "tls.crt"

    def certificates(self) -> tuple[x509.Certificate, x509.Certificate]:
        """Of the identity and of TLS; raises TrustError or StorageError."""
        with storage_errors(self.folder):
            return (
                read_certificate((self.folder / "identity.crt").read_bytes()),
                read_certificate(self.tls_certificate.read_bytes()),
            )

    def forget_private(self) -> None:
        """Delete the private keys of a generation that was replaced; raises StorageError."""
        forget_private_file(self.identity_key)
        forget_private_file(self.tls_key)


def make_server_keys(issuer: Issuer, federation: str, hosts: Sequence[str], now: datetime) -> NewServerKeys:
    """New keys of both kinds, with certificates for the federation's hosts and for loopback."""
    identity = IdentityKey.generate()
    tls_key = ec.generate_private_key(ec.SECP384R1())
    names = tuple(dict.fromkeys((*hosts, *LOOPBACK)))
    return NewServerKeys(
        identity,
        issue(issuer, Holder(federation, Role.AGGREGATOR, federation), identity.key.public_key(), now),
        tls_key,
        issue(issuer, Holder(federation, Role.GATEWAY, federation), tls_key.public_key(), now, names),
    )
