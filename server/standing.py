"""Suspending, reinstating and removing a site: its registry file and the revocation list, nobody else's files."""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509

from common.errors import EnrollmentError
from common.lock import exclusive
from common.sealed import Passphrase
from server.authority import Issuer, Revocation, build_revocation_list, number_of
from server.provisioning import ServerFolder
from server.registry import SiteEntry, Status
from server.server_keys import ServerKeys

_ALLOWED_FROM = {
    Status.SUSPENDED: (Status.ACTIVE,),
    Status.ACTIVE: (Status.SUSPENDED,),
    Status.REMOVED: (Status.ACTIVE, Status.SUSPENDED),
}
_EVENTS = {
    Status.SUSPENDED: "site-suspended",
    Status.ACTIVE: "site-reinstated",
    Status.REMOVED: "site-removed",
}


def set_standing(
    folder: ServerFolder, site: str, status: Status, now: datetime, passphrase: Passphrase | None = None
) -> SiteEntry:
    """Suspend, reinstate or remove a site; it counts from the site's next message on.

    The log is written first, then the revocation list, then the registry: cut off in between, the site is refused
    by one of the two, and the same command finishes the work.

    Raises:
        EnrollmentError: no such site, or its standing does not allow the change.
    """
    with exclusive(folder.path):
        entry = folder.registry.get(site)
        if entry.status not in _ALLOWED_FROM[status]:
            advice = "; it can join again with a new request" if entry.status is Status.REMOVED else ""
            raise EnrollmentError(f"site '{site}' is {entry.status} and cannot be made {status}{advice}")
        issuer = folder.issuer(passphrase)
        changed = entry.model_copy(update={"status": status, "changed_at": now})
        folder.audit(now).record(_EVENTS[status], None, {"site": site, "was": str(entry.status)})
        others = [other for other in folder.registry.all() if other.name != site]
        refresh_revocation_list(folder, issuer, [*others, changed], now)
        folder.registry.write(changed)
    return changed


def refresh_revocation_list(
    folder: ServerFolder, issuer: Issuer, entries: Iterable[SiteEntry], now: datetime
) -> None:
    """Write the list that follows from the sites' standing and the server's former keys."""
    revocations = _revocations(folder, entries, now)
    before = folder.authority().revoked
    number = number_of(before) + 1 if before is not None else 1
    folder.write_revocation_list(build_revocation_list(issuer, revocations, number, now))


def unlisted_revocations(folder: ServerFolder, now: datetime) -> int:
    """How many certificates ought to be on the list and are not: a renewal's old ones, until it is rewritten.

    The registry refuses them all the same; a TLS server in front knows the list alone.
    """
    revoked = folder.authority().revoked
    listed = {entry.serial_number for entry in revoked} if revoked is not None else set()
    return len({item.serial for item in _revocations(folder, folder.registry.all(), now)} - listed)


def _revocations(folder: ServerFolder, entries: Iterable[SiteEntry], now: datetime) -> list[Revocation]:
    of_sites = [revocation for entry in entries for revocation in entry.revocations(now)]
    return of_sites + _former_server_keys(folder)


def _former_server_keys(folder: ServerFolder) -> list[Revocation]:
    """Every certificate of every generation but the present one, superseded when the next one was made."""
    generations = [ServerKeys(path) for path in folder.generations()]
    return [
        Revocation(certificate.serial_number, rotation.body.rotated_at, x509.ReasonFlags.superseded)
        for keys, rotation in zip(generations, folder.rotations(), strict=False)
        for certificate in keys.issued()
    ]
