"""The certificates at work: Python's own TLS on both ends, client certificates and revocation list included.

The handshakes run through memory; no socket is opened. TLS looks at the machine's clock, so this federation is
founded today.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from client.joining import compare_with, join_federation
from client.requesting import request_enrollment
from client.site_folder import KeyFolder, SiteFolder
from common.keyfiles import write_private_file
from server.enrollment import enroll_site
from server.provisioning import ServerFolder, init_federation
from server.registry import Status
from server.rotation import rotate_server
from server.standing import set_standing

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    return init_federation(tmp_path / "fed", "BMFED", ("fed.example.org", "192.0.2.7"), 8443, NOW)


def add(server: ServerFolder, folder: SiteFolder, name: str) -> KeyFolder:
    request = request_enrollment(folder, name, NOW).file
    enroll_site(server, request, folder.path / "kit", NOW)
    join_federation(folder, folder.path / "kit", compare_with(server.authority().fingerprint), NOW)
    return folder.joined()


def gateway(server: ServerFolder) -> ssl.SSLContext:
    """As a gateway would be set up that asks for client certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    keys = server.server_keys()
    context.load_cert_chain(keys.tls_certificate, keys.tls_key)
    context.load_verify_locations(server.path / "authority" / "authority.crt")
    context.load_verify_locations(server.revocation_list)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def site_end(keys: KeyFolder) -> ssl.SSLContext:
    """As a sidecar in front of the SuperNode would be set up; it wants the node's key as PEM."""
    pem = keys.node().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = keys.path / "node.pem"
    if not file.exists():
        write_private_file(file, pem)
    context = ssl.create_default_context(cafile=str(keys.authority))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_cert_chain(keys.path / "node.crt", file)
    return context


def shake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "fed.example.org") -> str:
    """Shake hands through memory and return the name that the server sees; raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, True),
    ]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    subject = (ends[1].getpeercert() or {})["subject"]
    return str(dict(item[0] for item in subject)["commonName"])  # type: ignore[misc]


def test_enrolled_sites_come_in_and_a_removed_one_does_not(server: ServerFolder, tmp_path: Path) -> None:
    north, south = (add(server, SiteFolder(tmp_path / name), name) for name in ("north", "south"))
    assert shake(gateway(server), site_end(north)) == "north"
    set_standing(server, "north", Status.REMOVED, NOW)
    with pytest.raises(ssl.SSLError, match="certificate revoked"):
        shake(gateway(server), site_end(north))
    assert shake(gateway(server), site_end(south), host="192.0.2.7") == "south"


def test_sites_take_a_rotated_server_and_no_other_host(server: ServerFolder, tmp_path: Path) -> None:
    north = add(server, SiteFolder(tmp_path / "north"), "north")
    rotate_server(server, NOW, more_hosts=("new.example.org",))
    for host in ("fed.example.org", "new.example.org", "localhost", "127.0.0.1"):
        assert shake(gateway(server), site_end(north), host) == "north"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(gateway(server), site_end(north), "evil.example.org")


def test_another_federation_is_refused_at_either_end(server: ServerFolder, tmp_path: Path) -> None:
    other = init_federation(tmp_path / "other", "BMFED", ("fed.example.org",), 8443, NOW)
    north = add(server, SiteFolder(tmp_path / "north"), "north")
    foreign = add(other, SiteFolder(tmp_path / "foreign"), "north")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(gateway(other), site_end(north))
    foreign_client = site_end(foreign)
    foreign_client.load_verify_locations(server.path / "authority" / "authority.crt")
    with pytest.raises(ssl.SSLError):
        shake(gateway(server), foreign_client)
