import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from common.errors import KeyFileError, StorageError
from common.identity import IdentityKey
from common.keyfiles import forget_private_file, is_locked, read_private_file, write_private_file
from common.passphrase import VARIABLE, given_passphrase, passphrase_for
from common.sealed import Passphrase, seal, unseal

SECRET = Passphrase(b"correct horse")


def test_a_key_is_born_0600_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        IdentityKey.generate().save(tmp_path / "identity.key", None)
    finally:
        os.umask(before)
    assert (tmp_path / "identity.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_wider_mode_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity.key"
    IdentityKey.generate().save(path, None)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o} .* run: chmod 600 {path}"):
        IdentityKey.load(path, None)
    path.chmod(0o400)
    IdentityKey.load(path, None)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    write_private_file(tmp_path / "key", b"one")
    with pytest.raises(StorageError, match="in the way"):
        write_private_file(tmp_path / "key", b"two")
    assert read_private_file(tmp_path / "key") == b"one"


def test_what_is_no_key_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    write_private_file(tmp_path / "large", bytes(70_000))
    write_private_file(tmp_path / "text", b"hello")
    for name, text in (
        ("pipe", "not a regular file"),
        ("large", "over 65536 bytes"),
        ("text", "not a private key in PEM form"),
        ("nowhere", "No such file"),
    ):
        with pytest.raises(KeyFileError, match=text):
            IdentityKey.load(tmp_path / name, None)


def test_openssl_reads_our_keys(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key = IdentityKey.generate()
    key.save(tmp_path / "identity.key", None)
    command = [openssl, "pkey", "-in", str(tmp_path / "identity.key"), "-pubout", "-outform", "DER"]
    public = subprocess.run(command, check=True, capture_output=True).stdout
    assert public[-32:] == key.public.raw


def test_a_passphrase_locks_and_unlocks(tmp_path: Path) -> None:
    key, path = IdentityKey.generate(), tmp_path / "identity.key"
    key.save(path, SECRET)
    assert is_locked(path)
    assert key.key.private_bytes_raw() not in path.read_bytes()
    assert IdentityKey.load(path, SECRET).public == key.public
    with pytest.raises(KeyFileError, match="the passphrase does not open it"):
        IdentityKey.load(path, Passphrase(b"wrong"))
    with pytest.raises(KeyFileError, match="--passphrase-file FILE"):
        IdentityKey.load(path, None)


def test_a_changed_sealed_file_does_not_open() -> None:
    sealed = json.loads(seal(b"secret", SECRET))
    sealed["secret"] = sealed["secret"][:-4] + "AAA="
    with pytest.raises(KeyFileError, match="does not open it, or the file was damaged"):
        unseal(json.dumps(sealed).encode(), SECRET, "key")
    with pytest.raises(KeyFileError, match="not a sealed key"):
        unseal(b'{"kdf":"none"}', SECRET, "key")


def test_a_passphrase_is_masked_and_not_empty() -> None:
    assert repr(SECRET) == "Passphrase()"
    with pytest.raises(KeyFileError, match="empty"):
        Passphrase(b"")


def test_where_a_passphrase_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, file = tmp_path / "key", tmp_path / "passphrase"
    IdentityKey.generate().save(key, SECRET)
    write_private_file(file, SECRET.value + b"\n")
    monkeypatch.delenv(VARIABLE, raising=False)
    assert given_passphrase(None) is None
    assert given_passphrase(file) == SECRET
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(KeyFileError, match=f"no terminal to ask at; .* set {VARIABLE}=FILE"):
        passphrase_for(key, None)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "typed")
    assert passphrase_for(key, None) == Passphrase(b"typed")
    monkeypatch.setenv(VARIABLE, str(file))
    assert passphrase_for(key, None) == SECRET
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        passphrase_for(key, None)


def test_forgetting_is_no_error_twice(tmp_path: Path) -> None:
    write_private_file(tmp_path / "key", b"x")
    forget_private_file(tmp_path / "key")
    forget_private_file(tmp_path / "key")
    assert not (tmp_path / "key").exists()
