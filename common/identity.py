"""Ed25519 identities: who says what, and about which kind of thing.

A signature covers a fixed prefix, the domain and the sha256 of the payload. The domain keeps a signature given
for one purpose from being shown for another: a signed update can never pass for a signed task. Hashing first
lets an update of hundreds of megabytes be signed in one pass over it.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from common.errors import KeyFileError, TrustCode, TrustError
from common.fingerprints import fingerprint_of
from common.keyfiles import load_key, save_key
from common.schema import Frozen
from common.sealed import Passphrase

_PREFIX = b"fedmets-signature-v1"
_PUBLIC_BYTES = 32
Bytes: TypeAlias = bytes | bytearray | memoryview
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Base64Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
Base64Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]


class Domain(StrEnum):
    """What a signature is about."""

    PLAN = "plan"
    TASK = "task"
    UPDATE = "update"
    STANDING = "standing"
    RELEASE = "release"
    REQUEST = "enrolment-request"
    RENEWAL = "renewal"
    KIT = "kit"
    ROTATION = "rotation"


class Signature(Frozen):
    """A detached signature.

    Attributes:
        key: fingerprint of the public key it was made with.
        value: 64 bytes in base64.
    """

    key: Sha256
    value: Base64Signature


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """The half of an identity that everybody may know: 32 bytes."""

    raw: bytes

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read base64 as `text` gives it; raises TrustError when it is not 32 bytes."""
        try:
            raw = base64.b64decode(text, validate=True)
        except ValueError:
            raw = b""
        if len(raw) != _PUBLIC_BYTES:
            raise TrustError(TrustCode.WRONG_KEY, f"'{text[:60]}' is not an Ed25519 public key of 32 bytes")
        return cls(raw)

    @property
    def key(self) -> Ed25519PublicKey:
        """As a certificate takes it."""
        return Ed25519PublicKey.from_public_bytes(self.raw)

    @property
    def text(self) -> str:
        """Base64, 44 characters."""
        return base64.b64encode(self.raw).decode()

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of the 32 bytes."""
        return fingerprint_of(self.raw)

    def verify(self, domain: Domain, payload: Bytes, signature: Signature) -> None:
        """Return if this identity signed this payload for this purpose.

        Raises:
            TrustError: `wrong-key` when the signature names another key, `bad-signature` when payload, domain or
                signature were changed.
        """
        if signature.key != self.fingerprint:
            raise TrustError(
                TrustCode.WRONG_KEY,
                f"the {domain} is signed by key {signature.key[:16]}…, expected {self.fingerprint[:16]}…",
            )
        try:
            self.key.verify(base64.b64decode(signature.value), signed_bytes(domain, payload))
        except (InvalidSignature, ValueError):
            raise TrustError(
                TrustCode.BAD_SIGNATURE,
                f"the signature of the {domain} does not fit its content (key {signature.key[:16]}…); "
                "it was changed on the way or made for something else",
            ) from None


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """The private half; its `repr` shows the public fingerprint alone."""

    key: Ed25519PrivateKey = field(repr=False)
    public: PublicIdentity

    @classmethod
    def of(cls, key: Ed25519PrivateKey) -> Self:
        """Wrap a private key."""
        return cls(key, PublicIdentity(key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> Self:
        """A new identity from the operating system's random source."""
        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, passphrase: Passphrase | None) -> Self:
        """Read a key file; raises KeyFileError."""
        key = load_key(path, passphrase)
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: not an Ed25519 key; another key file was put in its place")
        return cls.of(key)

    def save(self, path: Path, passphrase: Passphrase | None) -> None:
        """Write a new key file of mode 0600; raises StorageError when there is one already."""
        save_key(path, self.key, passphrase)

    def sign(self, domain: Domain, payload: Bytes) -> Signature:
        """Sign a payload for one purpose."""
        value = base64.b64encode(self.key.sign(signed_bytes(domain, payload))).decode()
        return Signature(key=self.public.fingerprint, value=value)


def signed_bytes(domain: Domain, payload: Bytes) -> bytes:
    """What is really signed: prefix, NUL, domain, NUL, sha256 of the payload."""
    return b"\0".join((_PREFIX, domain.value.encode(), hashlib.sha256(payload).digest()))
