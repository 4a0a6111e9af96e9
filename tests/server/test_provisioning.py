import shutil
import subprocess
from pathlib import Path

import pytest

from common.audit import read_audit
from common.certificates import Holder, Role
from common.errors import EnrollmentError, KeyFileError, StorageError, TrustCode, TrustError
from common.keyfiles import save_key
from common.sealed import Passphrase
from server.authority import create_issuer
from server.provisioning import init_federation, open_server
from tests.trust import DAY_0, HOSTS, day, hashes, make_lab


def openssl(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    return subprocess.run([program, *map(str, arguments)], check=False, capture_output=True, text=True)


def test_openssl_reads_authority_and_tls_certificate(tmp_path: Path) -> None:
    server = make_lab(tmp_path).server
    authority, tls = server.path / "authority" / "authority.crt", server.server_keys().tls_certificate
    text = openssl("x509", "-in", authority, "-noout", "-text").stdout
    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "NIST CURVE: P-384" in text
    text = openssl("x509", "-in", tls, "-noout", "-text").stdout
    for name in ("DNS:fed.example.org", "IP Address:192.0.2.7", "DNS:localhost", "IP Address:127.0.0.1"):
        assert name in text
    assert "TLS Web Server Authentication" in text
    at = ("-attime", int(DAY_0.timestamp()), "-x509_strict", "-CAfile", authority)
    for purpose in (
        ("-verify_hostname", "fed.example.org"),
        ("-verify_ip", "192.0.2.7"),
        ("-verify_ip", "127.0.0.1"),
    ):
        assert openssl("verify", *at, "-purpose", "sslserver", *purpose, tls).returncode == 0
    assert openssl("verify", *at, "-verify_hostname", "evil.example.org", tls).returncode != 0
    assert openssl("verify", "-attime", int(day(366).timestamp()), "-CAfile", authority, tls).returncode != 0


def test_openssl_agrees_with_the_fingerprint(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    authority = lab.server.path / "authority" / "authority.crt"
    text = openssl("x509", "-in", authority, "-noout", "-fingerprint", "-sha256").stdout
    assert text.strip().split("=")[1].replace(":", "").lower() == lab.fingerprint


def test_nothing_private_is_open_and_the_log_begins(tmp_path: Path) -> None:
    server = make_lab(tmp_path).server
    assert server.path.stat().st_mode & 0o077 == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in server.path.rglob("*.key")}
    assert modes == dict.fromkeys(("authority.key", "identity.key", "loopback.key", "tls.key"), 0o600)
    (record,) = read_audit(server.path / "audit.jsonl")
    assert record.event == "federation-created"
    assert record.time == DAY_0.timestamp()
    assert record.details["authority"] == server.authority().fingerprint
    assert server.registry.all() == []


def test_a_folder_in_use_is_never_overwritten(tmp_path: Path) -> None:
    server = make_lab(tmp_path).server
    before = hashes(server.path)
    with pytest.raises(EnrollmentError, match="never overwritten"):
        init_federation(server.path, "OTHER", HOSTS, 8443, day(1))
    assert hashes(server.path) == before
    (tmp_path / "file").touch()
    with pytest.raises(EnrollmentError, match="never overwritten"):
        init_federation(tmp_path / "file", "OTHER", HOSTS, 8443, day(1))
    (tmp_path / "empty").mkdir()
    assert init_federation(tmp_path / "empty", "OTHER", HOSTS, 8443, day(1)).federation.name == "OTHER"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "fed", "file"]


@pytest.mark.parametrize("name", ["B" * 64, "7"])
def test_the_longest_and_the_shortest_name_fit_the_certificates(tmp_path: Path, name: str) -> None:
    server = init_federation(tmp_path / "fed", name, ("h" * 253,), 8443, DAY_0)
    identity, tls = server.server_keys().certificates()
    for certificate, role in ((identity, Role.AGGREGATOR), (tls, Role.GATEWAY)):
        server.authority().check(certificate, Holder(name, role, name), DAY_0)


def test_a_full_disk_leaves_no_half_federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("server.provisioning.commit_folder", full)
    with pytest.raises(StorageError):
        init_federation(tmp_path / "fed", "BMFED", HOSTS, 8443, DAY_0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "hosts", "text"),
    [
        ("B M", HOSTS, "--name 'B M': a federation's name has up to 64 letters, digits, dots, dashes"),
        ("../x", HOSTS, "--name"),
        ("BMFED", (), "--host .*at least 1 item"),
        ("BMFED", ("http://fed.example.org/",), "--host 'http://fed.example.org/': a host is a name of letters"),
        ("BMFED", ("fed.example.org", "bad host!"), "--host 'bad host!': a host is .* an address, without a port"),
    ],
)
def test_names_and_hosts_are_checked_before_anything_is_written(
    tmp_path: Path, name: str, hosts: tuple[str, ...], text: str
) -> None:
    with pytest.raises(EnrollmentError, match=text):
        init_federation(tmp_path / "fed", name, hosts, 8443, DAY_0)
    assert list(tmp_path.iterdir()) == []


def test_passphrase_seals_authority_and_identity_but_not_tls(tmp_path: Path) -> None:
    secret = Passphrase(b"correct horse")
    server = make_lab(tmp_path, passphrase=secret).server
    with pytest.raises(KeyFileError, match="locked by a passphrase"):
        server.issuer(None)
    with pytest.raises(KeyFileError, match="locked by a passphrase"):
        server.identity(None)
    assert server.issuer(secret).certificate == server.authority().certificate
    assert server.server_keys().tls_key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_another_authoritys_key_is_refused(tmp_path: Path) -> None:
    server = make_lab(tmp_path).server
    server.authority_key.unlink()
    save_key(server.authority_key, create_issuer("BMFED", DAY_0).key, None)
    with pytest.raises(KeyFileError, match=r"not the key of authority\.crt"):
        server.issuer(None)


def test_roles_do_not_pass_for_one_another(tmp_path: Path) -> None:
    server = make_lab(tmp_path).server
    identity, tls = server.server_keys().certificates()
    authority = server.authority()
    authority.check(identity, Holder("BMFED", Role.AGGREGATOR, "BMFED"), DAY_0)
    with pytest.raises(TrustError) as refused:
        authority.check(tls, Holder("BMFED", Role.AGGREGATOR, "BMFED"), DAY_0)
    assert refused.value.code == TrustCode.WRONG_NAME
    with pytest.raises(TrustError) as refused:
        make_lab(tmp_path / "b").server.authority().check(
            identity, Holder("BMFED", Role.AGGREGATOR, "BMFED"), DAY_0
        )
    assert refused.value.code == TrustCode.WRONG_AUTHORITY


def test_what_is_no_federation_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnrollmentError, match="fedmets-server init"):
        open_server(tmp_path)
