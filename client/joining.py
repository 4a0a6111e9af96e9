"""`fedmets-site join`: believing a federation, once, after two people compared its fingerprint."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.site_folder import KeyFolder, SiteFolder
from common.certificates import Authority, Holder, Role, read_certificate
from common.documents import read_document
from common.durable import write_durably
from common.errors import EnrollmentError, TrustCode, TrustError
from common.fingerprints import grouped
from common.joining import SiteKit, check_kit_answers, check_kit_signature
from common.lock import exclusive
from common.rotation import Aggregator, Rotations, follow_rotations

Confirm = Callable[[str, bool], None]


@dataclass(frozen=True, slots=True)
class Joined:
    """What a site has joined.

    Attributes:
        fingerprint: of the federation's authority.
        renewed: the site had joined before and changed its keys.
    """

    federation: str
    site: str
    address: str
    fingerprint: str
    renewed: bool


def join_federation(folder: SiteFolder, kit_file: Path, confirm: Confirm, now: datetime) -> Joined:
    """Check a kit to the last certificate and put the keys it answers in use.

    Args:
        folder: the site's, with a request that waits.
        kit_file: what the consortium sent.
        confirm: called with the authority's fingerprint, and whether this site believes that authority already,
            as in a renewal, once everything else holds; raises to refuse.
        now: certificates must hold then.

    Raises:
        TrustError: changed on the way, for another site or other keys, another federation, or out of date.
        EnrollmentError: no request waits here, or the file is no kit.
    """
    if not folder.path.is_dir():
        raise EnrollmentError(
            f"{folder.path}: no such folder; run fedmets-site request {folder.path} --name NAME first"
        )
    kit = read_document(SiteKit, kit_file, "a site's kit")
    with exclusive(folder.path):
        keys = folder.pending()
        if keys is None:
            raise EnrollmentError(
                f"{folder.path}: no request waits for a kit; run fedmets-site request, or renew to change keys"
            )
        authority = _check(kit, keys, now)
        before = folder.in_use()
        if before is not None:
            _check_same_federation(folder, before, kit, authority)
        confirm(authority.fingerprint, before is not None)
        _put_in_use(folder, keys, kit, now)
        if before is not None:
            for old in folder.generations()[:-1]:
                old.forget_private()
    body = kit.body
    return Joined(body.federation, body.site, body.address, authority.fingerprint, before is not None)


def compare_with(given: str) -> Confirm:
    """A confirmation by a fingerprint that came another way; raises TrustError when the kit's is another.

    It is compared at a renewal too: whoever gives one has been told it, and a wrong one is news.
    """

    def confirm(found: str, _is_believed: bool) -> None:
        if found != given:
            raise TrustError(
                TrustCode.WRONG_FINGERPRINT,
                f"the kit's authority is {grouped(found)}, not the one given; do not join; tell the consortium",
            )

    return confirm


def _check(kit: SiteKit, keys: KeyFolder, now: datetime) -> Authority:
    """Everything but whether this is the federation that is meant."""
    check_kit_signature(kit)
    check_kit_answers(kit, keys.request().body)
    authority, body = kit.read_authority(), kit.body
    for pem, role, name in (
        (body.aggregator, Role.AGGREGATOR, body.federation),
        (body.site_certificate, Role.SITE, body.site),
        (body.node_certificate, Role.NODE, body.site),
    ):
        authority.check(read_certificate(pem), Holder(body.federation, role, name), now)
    return authority


def _check_same_federation(folder: SiteFolder, before: KeyFolder, kit: SiteKit, authority: Authority) -> None:
    """The believed authority, and an aggregator to which rotations lead from the believed one."""
    old = before.kit()
    if authority.certificate != old.read_authority().certificate or kit.body.federation != old.body.federation:
        raise TrustError(
            TrustCode.WRONG_AUTHORITY,
            f"the kit is of another authority ({authority.fingerprint[:16]}…) than the one that this site joined; "
            "ask the consortium; to join another federation choose another folder",
        )
    start = believed_aggregator(old, folder.rotations())
    reached = follow_rotations(start, kit.body.rotations, authority, kit.body.federation)
    if reached.certificate != read_certificate(kit.body.aggregator) or reached.generation != kit.body.generation:
        raise TrustError(
            TrustCode.BROKEN_ROTATION,
            f"the kit's aggregator of generation {kit.body.generation} is not the one that this site's generation "
            f"{start.generation} leads to; ask the consortium for a new kit",
        )


def believed_aggregator(kit: SiteKit, followed: Rotations) -> Aggregator:
    """The aggregator that a kit and the rotations followed since lead to; raises TrustError."""
    start = Aggregator(read_certificate(kit.body.aggregator), kit.body.generation)
    return follow_rotations(start, followed.rotations, kit.read_authority(), kit.body.federation)


def _put_in_use(folder: SiteFolder, keys: KeyFolder, kit: SiteKit, now: datetime) -> None:
    """Certificates first; the kit's own file, written last, is the moment from which the keys count."""
    body = kit.body
    details = {"federation": body.federation, "site": body.site, "authority": kit.read_authority().fingerprint}
    folder.audit(now).record("joined", None, details)
    for name, pem in (
        ("authority.crt", body.authority),
        ("identity.crt", body.site_certificate),
        ("node.crt", body.node_certificate),
    ):
        write_durably(keys.path / name, pem.encode())
    write_durably(keys.kit_file, f"{kit.to_json()}\n".encode())
