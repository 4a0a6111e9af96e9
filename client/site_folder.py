"""A hospital's folder, as far as joining goes.

SITE_DIR/keys/0001/ 0002/ ...  identity.key, node, node.pub, request.json; once joined also authority.crt,
                               identity.crt, node.crt and, last of all, kit.json, which puts the folder in use
SITE_DIR/request.json          a copy of the newest request, to be sent to the consortium
SITE_DIR/rotations.json        how the aggregator's identity changed since the kit
SITE_DIR/audit.jsonl           what happened here, hash-chained
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.audit import AuditLog
from common.documents import read_document
from common.durable import storage_errors
from common.errors import AuditBroken, EnrollmentError
from common.generations import generations
from common.identity import IdentityKey
from common.joining import SiteKit, SiteRequest
from common.keyfiles import forget_private_file
from common.node_key import NodeKey
from common.rotation import Rotations
from common.sealed import Passphrase


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """One generation of a site's keys."""

    path: Path

    @property
    def identity_key(self) -> Path:
        """Private, possibly sealed; signs what the site says."""
        return self.path / "identity.key"

    @property
    def node_key(self) -> Path:
        """Private, in the form that the SuperNode reads."""
        return self.path / "node"

    @property
    def node_pem(self) -> Path:
        """Private: the same key in the form that nginx reads, where the site has a sidecar."""
        return self.path / "node.pem"

    @property
    def node_certificate(self) -> Path:
        """Vouches for the node's key; public."""
        return self.path / "node.crt"

    @property
    def authority(self) -> Path:
        """The authority's certificate: whom the SuperNode believes."""
        return self.path / "authority.crt"

    @property
    def request_file(self) -> Path:
        """Public; appears together with the keys."""
        return self.path / "request.json"

    @property
    def kit_file(self) -> Path:
        """Present once these keys are in use."""
        return self.path / "kit.json"

    def request(self) -> SiteRequest:
        """What was asked with these keys; raises EnrollmentError."""
        return read_document(SiteRequest, self.request_file, "a site's request")

    def kit(self) -> SiteKit:
        """What was answered; raises EnrollmentError."""
        return read_document(SiteKit, self.kit_file, "a site's kit")

    def identity(self, passphrase: Passphrase | None) -> IdentityKey:
        """The site's identity; raises KeyFileError."""
        return IdentityKey.load(self.identity_key, passphrase)

    def node(self) -> NodeKey:
        """The SuperNode's key; raises KeyFileError."""
        return NodeKey.load(self.node_key)

    def forget_private(self) -> None:
        """Delete the private keys of a generation that was replaced; raises StorageError."""
        forget_private_file(self.identity_key)
        forget_private_file(self.node_key)
        forget_private_file(self.node_pem)


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """A hospital's folder."""

    path: Path

    @property
    def request_file(self) -> Path:
        """The copy that is sent."""
        return self.path / "request.json"

    @property
    def rotations_file(self) -> Path:
        """Statements of the aggregator that were believed since joining."""
        return self.path / "rotations.json"

    @property
    def audit_file(self) -> Path:
        """What happened here, hash-chained."""
        return self.path / "audit.jsonl"

    @property
    def keys_folder(self) -> Path:
        """The generations of keys."""
        return self.path / "keys"

    def generations(self) -> list[KeyFolder]:
        """All key folders, oldest first."""
        return [KeyFolder(path) for path in generations(self.keys_folder)]

    def in_use(self) -> KeyFolder | None:
        """The newest keys that a kit answers; None before joining."""
        joined = [keys for keys in self.generations() if keys.kit_file.exists()]
        return joined[-1] if joined else None

    def pending(self) -> KeyFolder | None:
        """Keys newer than those in use, which wait for their kit; None when there are none."""
        generations = self.generations()
        return generations[-1] if generations and not generations[-1].kit_file.exists() else None

    def joined(self) -> KeyFolder:
        """The keys in use; raises EnrollmentError before joining."""
        keys = self.in_use()
        if keys is None:
            raise EnrollmentError(
                f"{self.path}: has not joined a federation; run fedmets-site request, send its request.json to "
                "the consortium, then fedmets-site join with the kit that comes back"
            )
        return keys

    def rotations(self) -> Rotations:
        """What was followed since joining; empty before the first. Raises EnrollmentError when damaged."""
        if not self.rotations_file.exists():
            return Rotations(rotations=())
        return read_document(Rotations, self.rotations_file, "a list of rotations")

    def audit(self, now: datetime) -> AuditLog:
        """The site's log, to be written on; raises AuditBroken, with what to do, when its chain does not hold."""
        try:
            return AuditLog(self.audit_file, now.timestamp)
        except AuditBroken as error:
            raise AuditBroken(f"{error}; {self.broken_log_advice}") from None

    @property
    def broken_log_advice(self) -> str:
        """What a person does about a log that was altered; no command does it by itself, for it is evidence."""
        log = self.audit_file
        return (
            "find out who or what changed it; then put the copy that you keep in its place, or begin a new log: "
            f"mv {log} {log}.broken"
        )

    def make(self) -> None:
        """Create the folder and in it keys/, each for the owner alone; raises StorageError.

        A folder that is there stays as open or closed as somebody has made it.
        """
        with storage_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.keys_folder.mkdir(mode=0o700, exist_ok=True)
