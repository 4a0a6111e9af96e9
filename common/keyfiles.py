"""Private keys on disk: mode 0600 from the first byte on, refused when anybody else could read them."""

import contextlib
import os
import stat
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from common.durable import storage_errors, sync_folder
from common.errors import KeyFileError
from common.sealed import Passphrase, is_sealed, seal, unseal

PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LARGEST_BYTES = 65536


def write_private_file(path: Path, data: bytes) -> None:
    """Create a file that its owner alone may read; it is on disk when this returns.

    Raises:
        StorageError: also when the file exists: a private key is never overwritten.
    """
    with storage_errors(path.parent):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)


def read_private_file(path: Path) -> bytes:
    """Read a secret, after a look at who else could have.

    Raises:
        KeyFileError: missing, not a file, larger than a key, or its mode lets group or others in.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in the key's place must not hang us
    except OSError as error:
        raise KeyFileError(f"{path}: cannot read the key ({error.strerror}); check the path and owner") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())  # of the open file: a path could be swapped in between
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path}: not a regular file; put the key itself there")
        if status.st_mode & _OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise KeyFileError(f"{path}: mode {mode:04o} lets others use this secret; run: chmod 600 {path}")
        data = file.read(_LARGEST_BYTES + 1)
    if len(data) > _LARGEST_BYTES:
        raise KeyFileError(f"{path}: over {_LARGEST_BYTES} bytes, which no key has; check the path")
    return data


def save_key(path: Path, key: PrivateKey, passphrase: Passphrase | None) -> None:
    """Write a key as PKCS #8 PEM, sealed when there is a passphrase; raises StorageError."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private_file(path, seal(pem, passphrase) if passphrase else pem)


def load_key(path: Path, passphrase: Passphrase | None) -> PrivateKey:
    """Read what `save_key` wrote.

    Raises:
        KeyFileError: wide mode, damaged, or sealed and the passphrase is missing or wrong.
    """
    data = read_private_file(path)
    if is_sealed(data):
        if passphrase is None:
            raise KeyFileError(f"{path}: locked by a passphrase; give --passphrase-file FILE")
        data = unseal(data, passphrase, str(path))
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: not a private key in PEM form; restore it from its backup") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{path}: a {type(key).__name__} is no key of fedmets; restore it from its backup")
    return key


def is_locked(path: Path) -> bool:
    """Whether reading this key will take a passphrase; raises KeyFileError as `read_private_file` does."""
    return is_sealed(read_private_file(path))


def forget_private_file(path: Path) -> None:
    """Delete a key that was replaced; nothing happens where there is none. Raises StorageError."""
    with storage_errors(path.parent), contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)
