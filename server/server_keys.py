"""The aggregator's own keys, one folder a generation: an Ed25519 identity and two P-384 keys for TLS.

One is the gateway's, which the sites see. The other is SuperLink's, behind it on the loopback address, for the
processes of this machine: with the gateway's, a run would end on the day on which that certificate does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from common.certificates import Holder, Role, pem_of, read_certificate
from common.durable import storage_errors, write_durably
from common.identity import IdentityKey
from common.keyfiles import forget_private_file, read_private_file, save_key
from common.sealed import Passphrase
from server.authority import Issuer, issue

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LOOPBACK_CERTIFICATE, _LOOPBACK_KEY = "loopback.crt", "loopback.key"


@dataclass(frozen=True, slots=True)
class NewServerKeys:
    """Keys that were just made, with their certificates."""

    identity: IdentityKey
    identity_certificate: x509.Certificate
    tls_key: ec.EllipticCurvePrivateKey = field(repr=False)
    tls_certificate: x509.Certificate
    loopback_key: ec.EllipticCurvePrivateKey = field(repr=False)
    loopback_certificate: x509.Certificate

    def save(self, folder: Path, passphrase: Passphrase | None) -> None:
        """Write the six files into a folder of their own; raises StorageError."""
        files = ServerKeys(folder)
        self.identity.save(files.identity_key, passphrase)
        save_key(files.tls_key, self.tls_key, None)
        save_key(folder / _LOOPBACK_KEY, self.loopback_key, None)
        write_durably(folder / "identity.crt", pem_of(self.identity_certificate).encode())
        write_durably(files.tls_certificate, pem_of(self.tls_certificate).encode())
        write_durably(folder / _LOOPBACK_CERTIFICATE, pem_of(self.loopback_certificate).encode())


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
        """Private; the gateway's."""
        return self.folder / "tls.key"

    @property
    def tls_certificate(self) -> Path:
        """In PEM form; names every host and the loopback addresses."""
        return self.folder / "tls.crt"

    @property
    def loopback(self) -> tuple[Path, Path]:
        """Certificate and key of SuperLink; the gateway's, in a generation from before it had its own."""
        own = self.folder / _LOOPBACK_CERTIFICATE, self.folder / _LOOPBACK_KEY
        return own if own[0].exists() else (self.tls_certificate, self.tls_key)

    def certificates(self) -> tuple[x509.Certificate, x509.Certificate]:
        """Of the identity and of TLS; raises TrustError or StorageError."""
        with storage_errors(self.folder):
            return (
                read_certificate((self.folder / "identity.crt").read_bytes()),
                read_certificate(self.tls_certificate.read_bytes()),
            )

    def issued(self) -> tuple[x509.Certificate, ...]:
        """Every certificate of the generation, none twice; raises TrustError or StorageError."""
        identity, tls = self.certificates()
        with storage_errors(self.folder):
            loopback = read_certificate(self.loopback[0].read_bytes())
        return (identity, tls) if loopback == tls else (identity, tls, loopback)

    def private(self) -> tuple[Path, ...]:
        """Every private key of the generation."""
        return tuple(dict.fromkeys((self.identity_key, self.tls_key, self.loopback[1])))

    def check_private(self) -> None:
        """Return if this user can read every private key and nobody else can; raises KeyFileError.

        For whoever starts programs with them: nginx and SuperLink themselves read a key of any mode.
        """
        for key in self.private():
            read_private_file(key)

    def forget_private(self) -> None:
        """Delete the private keys of a generation that was replaced; raises StorageError."""
        forget_private_file(self.identity_key)
        forget_private_file(self.tls_key)
        forget_private_file(self.folder / _LOOPBACK_KEY)


def make_server_keys(issuer: Issuer, federation: str, hosts: Sequence[str], now: datetime) -> NewServerKeys:
    """New keys of both kinds, with certificates for the federation's hosts and for loopback."""
    identity = IdentityKey.generate()
    tls_key, loopback_key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    names = tuple(dict.fromkeys((*hosts, *LOOPBACK)))
    return NewServerKeys(
        identity,
        issue(issuer, Holder(federation, Role.AGGREGATOR, federation), identity.key.public_key(), now),
        tls_key,
        issue(issuer, Holder(federation, Role.GATEWAY, federation), tls_key.public_key(), now, names),
        loopback_key,
        issue(issuer, Holder(federation, Role.LOOPBACK, federation), loopback_key.public_key(), now, LOOPBACK),
    )
