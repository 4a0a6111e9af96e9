"""The P-384 key with which a site's SuperNode signs in at the SuperLink, in the OpenSSH form that both read."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)
from pydantic import Field

from common.durable import write_durably
from common.errors import KeyFileError, TrustCode, TrustError
from common.identity import Domain, signed_bytes
from common.keyfiles import read_private_file, write_private_file

_KIND = "ecdsa-sha2-nistp384"
NodeLine = Annotated[str, Field(pattern=rf"^{_KIND} [A-Za-z0-9+/]+={{0,2}}$", max_length=300)]
NodeProof = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=200)]


@dataclass(frozen=True, slots=True)
class PublicNodeKey:
    """The public half, as one line of a `.pub` file without its comment."""

    line: str
    key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read an OpenSSH public key; raises TrustError when it is not one on the curve P-384."""
        try:
            key = load_ssh_public_key(line.encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
            raise TrustError(TrustCode.WRONG_KEY, f"'{line[:60]}' is not a P-384 public key in OpenSSH form")
        return cls.of(key)

    @classmethod
    def of(cls, key: ec.EllipticCurvePublicKey) -> Self:
        """Wrap a public key."""
        return cls(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(), key)

    def verify_possession(self, domain: Domain, payload: bytes, proof: str) -> None:
        """Return if the holder of the private half signed this payload; raises TrustError."""
        try:
            self.key.verify(base64.b64decode(proof), signed_bytes(domain, payload), ec.ECDSA(hashes.SHA384()))
        except (InvalidSignature, ValueError):
            raise TrustError(
                TrustCode.BAD_SIGNATURE,
                f"the {domain} does not prove that the sender holds the node key; make the request anew",
            ) from None


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The private half; its `repr` shows the public line alone."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    public: PublicNodeKey

    @classmethod
    def of(cls, key: ec.EllipticCurvePrivateKey) -> Self:
        """Wrap a private key."""
        return cls(key, PublicNodeKey.of(key.public_key()))

    @classmethod
    def generate(cls) -> Self:
        """A new key from the operating system's random source."""
        return cls.of(ec.generate_private_key(ec.SECP384R1()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an OpenSSH private key; raises KeyFileError."""
        try:
            key = load_ssh_private_key(read_private_file(path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
            raise KeyFileError(f"{path}: not a P-384 key in OpenSSH form; restore it from its backup")
        return cls.of(key)

    def save(self, path: Path) -> None:
        """Write PATH (mode 0600) and PATH.pub; raises StorageError when PATH exists.

        Never sealed: the SuperNode opens this file itself and cannot be told a passphrase.
        """
        write_private_file(path, self.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        write_durably(path.with_name(f"{path.name}.pub"), f"{self.public.line}\n".encode())

    def prove_possession(self, domain: Domain, payload: bytes) -> str:
        """ECDSA with SHA-384 over the same bytes that an identity signs; base64."""
        value = self.key.sign(signed_bytes(domain, payload), ec.ECDSA(hashes.SHA384()))
        return base64.b64encode(value).decode()
