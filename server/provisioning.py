"""The aggregator's folder: what `fedmets-server init` makes, and how the other commands open it.

DIR/federation.json          name, hosts, port: public
DIR/authority/               authority.key, authority.crt, authority.crl
DIR/server/0001/ 0002/ ...   identity.key, identity.crt, tls.key, tls.crt, loopback.key, loopback.crt; from
                             the second on rotation.json
DIR/sites/NAME.json          one file a site
DIR/audit.jsonl              every change, hash-chained
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AwareDatetime, Field, ValidationError

from common.audit import JSON, AuditLog
from common.certificates import Authority, pem_of, read_authority, read_revoked
from common.documents import read_document
from common.durable import commit_folder, storage_errors, write_durably
from common.errors import EnrollmentError
from common.generations import generations, next_generation
from common.identity import IdentityKey
from common.joining import Host, Port, address_of
from common.keyfiles import save_key
from common.plan import Name
from common.rotation import Rotation
from common.schema import Frozen
from common.sealed import Passphrase
from server.authority import Issuer, build_revocation_list, create_issuer, open_issuer
from server.registry import Registry
from server.server_keys import ServerKeys, make_server_keys

_FEDERATION_FILE = "federation.json"
_PATTERN = "string_pattern_mismatch"
_RULES = {  # in place of the regular expression that pydantic would show
    "name": "a federation's name has up to 64 letters, digits, dots, dashes and underscores and begins with a "
    "letter or digit, such as BMFED",
    "hosts": "a host is a name of letters, digits, dots and dashes, or an address, without a port: "
    "fed.example.org, 192.0.2.7 or 2001:db8::7",
}


class Federation(Frozen):
    """A federation's public face.

    Attributes:
        hosts: names and addresses under which the gateway is reached, the first the one that sites dial.
    """

    schema_version: Literal[1] = 1
    name: Name
    hosts: Annotated[tuple[Host, ...], Field(min_length=1, max_length=32)]
    port: Port
    created_at: AwareDatetime

    @property
    def address(self) -> str:
        """Where sites dial."""
        return address_of(self.hosts[0], self.port)


@dataclass(frozen=True, slots=True)
class ServerFolder:
    """An aggregator's folder, opened; the public parts are read at each use."""

    path: Path

    @property
    def federation(self) -> Federation:
        """Name and address; raises EnrollmentError when the file is damaged."""
        return read_document(Federation, self.path / _FEDERATION_FILE, "a federation's record")

    @property
    def registry(self) -> Registry:
        """The sites."""
        return Registry(self.path / "sites")

    @property
    def authority_key(self) -> Path:
        """The authority's private key: needed to enrol, to revoke and to rotate, never to run."""
        return self.path / "authority" / "authority.key"

    @property
    def authority_certificate(self) -> Path:
        """The authority's certificate: public, whom every TLS client of this federation believes."""
        return self.path / "authority" / "authority.crt"

    @property
    def server(self) -> Path:
        """The generations of the aggregator's own keys."""
        return self.path / "server"

    @property
    def revocation_list(self) -> Path:
        """The revocation list in PEM form, for a TLS server."""
        return self.path / "authority" / "authority.crl"

    @property
    def audit_file(self) -> Path:
        """Every change to the federation, in a hash chain."""
        return self.path / "audit.jsonl"

    def authority(self) -> Authority:
        """The authority with its revocation list; raises TrustError or StorageError."""
        with storage_errors(self.path):
            certificate = self.authority_certificate.read_bytes()
            revoked = self.revocation_list.read_bytes()
        seen = read_authority(certificate)
        return Authority(seen.certificate, read_revoked(revoked, seen.certificate))

    def issuer(self, passphrase: Passphrase | None) -> Issuer:
        """The authority with its key; raises KeyFileError."""
        return open_issuer(self.authority().certificate, self.authority_key, passphrase)

    def identity(self, passphrase: Passphrase | None) -> IdentityKey:
        """The aggregator's identity, which signs plans, tasks, kits and releases; raises KeyFileError."""
        return IdentityKey.load(self.server_keys().identity_key, passphrase)

    def server_keys(self) -> ServerKeys:
        """The aggregator's present keys and certificates; raises EnrollmentError when there are none."""
        generations = self.generations()
        if not generations:
            raise EnrollmentError(f"{self.path}: holds no server keys; restore the folder from its backup")
        return ServerKeys(generations[-1])

    def generations(self) -> list[Path]:
        """The folders of all identities so far, the present one last."""
        return generations(self.server)

    def rotations(self) -> tuple[Rotation, ...]:
        """The statements that lead from the first identity to the present one."""
        files = [folder / "rotation.json" for folder in self.generations()[1:]]
        return tuple(read_document(Rotation, file, "a rotation") for file in files)

    def audit(self, now: datetime) -> AuditLog:
        """The log of changes; raises AuditBroken when its chain does not hold."""
        return AuditLog(self.audit_file, now.timestamp)

    def write_revocation_list(self, revoked: x509.CertificateRevocationList) -> None:
        """Put a new list in the old one's place; raises StorageError."""
        write_durably(self.revocation_list, revoked.public_bytes(Encoding.PEM))


def init_federation(
    path: Path, name: str, hosts: Sequence[str], port: int, now: datetime, passphrase: Passphrase | None = None
) -> ServerFolder:
    """Make an aggregator's folder with authority, server keys and an empty registry, whole or not at all.

    Args:
        path: must not exist, or be empty.
        name: the federation's.
        hosts: see `Federation`. "localhost", 127.0.0.1 and ::1 are certified besides, for the processes behind
            the gateway.
        port: the gateway's.
        now: certificates begin an hour before.
        passphrase: seals the authority's and the identity's key. The TLS key stays open, since servers that are
            restarted by themselves must read it.

    Raises:
        EnrollmentError: the folder holds something, or a name or host is not one.
    """
    try:
        federation = Federation(name=name, hosts=tuple(hosts), port=port, created_at=now)
    except ValidationError as error:
        option = "--" + str(error.errors()[0]["loc"][0]).removesuffix("s")
        raise EnrollmentError(f"{option} {fault_of(error)}") from None
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise EnrollmentError(f"{path}: is there already and not empty; a federation is never overwritten")
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _build(ServerFolder(building), federation, now, passphrase)
        commit_folder(building, path)
    finally:
        shutil.rmtree(building, ignore_errors=True)  # gone already when it was committed
    return ServerFolder(path)


def fault_of(error: ValidationError) -> str:
    """The first thing that is wrong with a federation's name or hosts, as the value and what it may be."""
    fault = error.errors()[0]
    said = _RULES.get(str(fault["loc"][0]), fault["msg"]) if fault["type"] == _PATTERN else fault["msg"]
    return f"{fault['input']!r}: {said}"


def open_server(path: Path) -> ServerFolder:
    """Open an aggregator's folder; raises EnrollmentError when it is none."""
    if not (path / _FEDERATION_FILE).is_file():
        raise EnrollmentError(f"{path}: not the folder of a federation; make one with fedmets-server init {path}")
    return ServerFolder(path)


def _build(folder: ServerFolder, federation: Federation, now: datetime, passphrase: Passphrase | None) -> None:
    for name in ("authority", "server", "sites"):
        with storage_errors(folder.path):
            (folder.path / name).mkdir(mode=0o700)
    issuer = create_issuer(federation.name, now)
    save_key(folder.authority_key, issuer.key, passphrase)
    write_durably(folder.authority_certificate, pem_of(issuer.certificate).encode())
    folder.write_revocation_list(build_revocation_list(issuer, (), 1, now))
    keys = make_server_keys(issuer, federation.name, federation.hosts, now)
    with next_generation(folder.server) as first:
        keys.save(first, passphrase)
    write_durably(folder.path / _FEDERATION_FILE, f"{federation.to_json()}\n".encode())
    details: dict[str, JSON] = {
        "federation": federation.name,
        "hosts": federation.hosts,
        "port": federation.port,
        "authority": folder.authority().fingerprint,
        "identity": keys.identity.public.fingerprint,
    }
    folder.audit(now).record("federation-created", None, details)
