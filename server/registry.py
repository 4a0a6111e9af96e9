"""The sites of a federation, one file each, so that a change to one site touches no other's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from cryptography import x509
from pydantic import AwareDatetime

from common.certificates import read_certificate
from common.documents import read_document
from common.durable import storage_errors, write_durably
from common.errors import EnrollmentError
from common.identity import Base64Key, PublicIdentity
from common.joining import Pem, is_name
from common.node_key import NodeLine
from common.plan import Name
from common.schema import Frozen
from server.authority import Revocation

OVERLAP = timedelta(days=7)  # how long a site's old keys are good for after a renewal: time to carry the kit


class Status(StrEnum):
    """How the federation stands to a site."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class Credential(Frozen):
    """One pair of keys that a site was enrolled with.

    Attributes:
        identity_key, node_key: the public halves.
        site_certificate, node_certificate: what vouches for them.
        ends_at: None for the current pair; else from when on the pair is worth nothing.
    """

    identity_key: Base64Key
    node_key: NodeLine
    site_certificate: Pem
    node_certificate: Pem
    ends_at: AwareDatetime | None = None

    @property
    def key_id(self) -> str:
        """Fingerprint of the identity key: what signatures name."""
        return PublicIdentity.from_text(self.identity_key).fingerprint

    def in_force(self, now: datetime) -> bool:
        """Whether the pair counts, dates of its certificates apart."""
        return self.ends_at is None or now < self.ends_at

    def certificates(self) -> tuple[x509.Certificate, x509.Certificate]:
        """Of the identity and of the node."""
        return read_certificate(self.site_certificate), read_certificate(self.node_certificate)


class SiteEntry(Frozen):
    """One site.

    Attributes:
        credentials: every pair of keys it ever had here, the current one last.
        changed_at: when `status` last changed.
    """

    schema_version: Literal[1] = 1
    name: Name
    status: Status
    enrolled_at: AwareDatetime
    changed_at: AwareDatetime
    credentials: tuple[Credential, ...]

    @property
    def current(self) -> Credential:
        """The pair in use."""
        return self.credentials[-1]

    def node_keys(self, now: datetime) -> tuple[str, ...]:
        """Public node keys that may sign in now, as lines of a `.pub` file; none unless active."""
        if self.status is not Status.ACTIVE:
            return ()
        return tuple(credential.node_key for credential in self.credentials if credential.in_force(now))

    def revocations(self, now: datetime) -> list[Revocation]:
        """What of this site belongs on the revocation list; a suspension is a hold and can be lifted."""
        reasons = x509.ReasonFlags
        found = []
        for credential in self.credentials:
            if self.status is Status.REMOVED:
                since = min(self.changed_at, credential.ends_at or self.changed_at)
                reason = reasons.cessation_of_operation
            elif not credential.in_force(now):
                since, reason = credential.ends_at or self.changed_at, reasons.superseded
            elif self.status is Status.SUSPENDED:
                since, reason = self.changed_at, reasons.certificate_hold
            else:
                continue
            found += [Revocation(item.serial_number, since, reason) for item in credential.certificates()]
        return found


@dataclass(frozen=True, slots=True)
class Registry:
    """The folder of site files; read anew at each question, so a removal counts from the next message on."""

    folder: Path

    def find(self, name: str) -> SiteEntry | None:
        """The entry of a site; None when there never was one. Raises EnrollmentError for a damaged file."""
        path = self.folder / f"{name}.json"
        if not is_name(name) or not path.exists():  # names come from the wire as well
            return None
        entry = read_document(SiteEntry, path, "a site's entry")
        if entry.name != name or not entry.credentials:
            raise EnrollmentError(f"{path}: is not the entry of site '{name}'; restore it from its backup")
        return entry

    def get(self, name: str) -> SiteEntry:
        """The entry of a site; raises EnrollmentError when there is none, naming those there are."""
        entry = self.find(name)
        if entry is None:
            known = ", ".join(site.name for site in self.all()) or "none yet"
            raise EnrollmentError(f"no site '{name}' is enrolled in {self.folder.parent}; enrolled: {known}")
        return entry

    def all(self) -> list[SiteEntry]:
        """Every entry, by name; removed ones too."""
        with storage_errors(self.folder):
            names = sorted(path.stem for path in self.folder.glob("*.json") if not path.name.startswith("."))
        return [self.get(name) for name in names]

    def write(self, entry: SiteEntry) -> None:
        """Put an entry on disk; raises StorageError."""
        write_durably(self.folder / f"{entry.name}.json", f"{entry.to_json()}\n".encode())
