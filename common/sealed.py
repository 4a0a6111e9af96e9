"""A small secret under a passphrase: scrypt turns the passphrase into a key, AES-256-GCM locks the content.

scrypt (RFC 7914) with n = 2^17, r = 8, p = 1 costs whoever guesses 128 MiB and some tenths of a second for each
passphrase. The usual encrypted PEM is not used: it would be written with 2048 rounds of PBKDF2.
"""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import Field, ValidationError

from common.errors import KeyFileError
from common.schema import Frozen

_SALT_BYTES = 16
_NONCE_BYTES = 12
_KEY_BYTES = 32
_BASE64 = r"^[A-Za-z0-9+/]+={0,2}$"
Base64 = Annotated[str, Field(pattern=_BASE64, max_length=16384)]


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What unlocks a key; its `repr` shows nothing of it."""

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.value:
            raise KeyFileError("the passphrase is empty; give one, or leave the passphrase out altogether")


class Sealed(Frozen):
    """The file of a sealed secret. The cost is fixed, so that a forged file cannot ask for all memory."""

    fedmets_sealed: Literal[1]
    kdf: Literal["scrypt-131072-8-1"]
    salt: Base64
    nonce: Base64
    secret: Base64


def seal(secret: bytes, passphrase: Passphrase) -> bytes:
    """The content of a file that only this passphrase opens."""
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    locked = AESGCM(_stretch(passphrase, salt)).encrypt(nonce, secret, None)
    sealed = Sealed(
        fedmets_sealed=1,
        kdf="scrypt-131072-8-1",
        salt=base64.b64encode(salt).decode(),
        nonce=base64.b64encode(nonce).decode(),
        secret=base64.b64encode(locked).decode(),
    )
    return sealed.to_json().encode() + b"\n"


def is_sealed(data: bytes) -> bool:
    """Whether these bytes are a sealed file; a PEM or OpenSSH key starts with dashes."""
    return data.lstrip().startswith(b"{")


def unseal(data: bytes, passphrase: Passphrase, where: str) -> bytes:
    """Open a sealed file.

    Raises:
        KeyFileError: wrong passphrase, or a file that was changed; the two cannot be told apart.
    """
    try:
        sealed = Sealed.from_json(data)
        salt, nonce = base64.b64decode(sealed.salt), base64.b64decode(sealed.nonce)
        return AESGCM(_stretch(passphrase, salt)).decrypt(nonce, base64.b64decode(sealed.secret), None)
    except (ValidationError, ValueError):
        raise KeyFileError(f"{where}: not a sealed key of fedmets; restore it from its backup") from None
    except InvalidTag:
        raise KeyFileError(
            f"{where}: the passphrase does not open it, or the file was damaged; check the passphrase"
        ) from None


def _stretch(passphrase: Passphrase, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=2**17, r=8, p=1).derive(passphrase.value)
