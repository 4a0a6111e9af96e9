"""Whether what claims to come from the aggregator does, and the site's own signature under what it sends."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.joining import believed_aggregator
from client.site_folder import SiteFolder
from common.certificates import Authority, Holder, Role, identity_of
from common.documents import read_document
from common.durable import write_durably
from common.identity import Bytes, Domain, IdentityKey, Signature
from common.joining import KitBody
from common.lock import exclusive
from common.rotation import Aggregator, Rotations, follow_rotations
from common.sealed import Passphrase


@dataclass(frozen=True, slots=True)
class SiteTrust:
    """What a joined site believes, and its own identity.

    Attributes:
        kit: names, address and certificates.
        authority: compared over the telephone when the site joined.
        aggregator: the identity believed now.
        identity: the site's own.
    """

    kit: KitBody
    authority: Authority
    aggregator: Aggregator
    identity: IdentityKey

    def verify_aggregator(self, domain: Domain, payload: Bytes, signature: Signature, now: datetime) -> None:
        """Return if the aggregator that this site joined signed this payload for this purpose, in its time.

        Raises:
            TrustError: `wrong-key` (an aggregator of another federation, or one rotated out), `bad-signature`,
                `expired` or `not-yet-valid`.
        """
        federation = self.kit.federation
        self.authority.check(self.aggregator.certificate, Holder(federation, Role.AGGREGATOR, federation), now)
        identity_of(self.aggregator.certificate).verify(domain, payload, signature)

    def sign(self, domain: Domain, payload: Bytes) -> Signature:
        """Sign with the site's identity."""
        return self.identity.sign(domain, payload)


def open_site(folder: SiteFolder, passphrase: Passphrase | None = None) -> SiteTrust:
    """Open a joined site.

    Raises:
        EnrollmentError: it has not joined.
        KeyFileError: its keys are missing, locked or readable by others.
        TrustError: the files on disk contradict one another.
    """
    keys = folder.joined()
    kit = keys.kit()
    keys.node()  # refuses a wide or damaged key now and not when the SuperNode starts
    return SiteTrust(
        kit.body,
        kit.read_authority(),
        believed_aggregator(kit, folder.rotations()),
        keys.identity(passphrase),
    )


def follow_published(folder: SiteFolder, published: Rotations, now: datetime) -> Aggregator:
    """Believe the aggregator's newest identity, if the one believed today leads to it; needs no key of the site.

    Raises:
        TrustError: forged, for another federation, or with a gap; nothing is changed then.
        EnrollmentError: the site has not joined.
    """
    kit = folder.joined().kit()
    with exclusive(folder.path):
        followed = folder.rotations()
        before = believed_aggregator(kit, followed)
        after = follow_rotations(before, published.rotations, kit.read_authority(), kit.body.federation)
        if after.generation > before.generation:
            identity = identity_of(after.certificate).fingerprint
            folder.audit(now).record(
                "aggregator-rotated", None, {"generation": after.generation, "identity": identity}
            )
            new = [item for item in published.rotations if item.body.generation > before.generation]
            chain = Rotations(rotations=(*followed.rotations, *new))
            write_durably(folder.rotations_file, f"{chain.to_json()}\n".encode())
    return after


def follow_file(folder: SiteFolder, path: Path, now: datetime) -> Aggregator:
    """As `follow_published`, from a file that the consortium sent."""
    return follow_published(folder, read_document(Rotations, path, "a list of rotations"), now)
