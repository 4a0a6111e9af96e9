"""Enrolling a site and renewing its keys: from a request to a signed kit.

Only the site's own file in the registry is written: enrolling one changes nothing for the others. What is asked
for twice is answered twice: the same request again gives the same certificates in a new kit, so a lost kit, or a
crash before it was written, costs nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from common.certificates import Authority, Holder, Role, pem_of
from common.documents import read_document
from common.durable import write_durably
from common.errors import EnrollmentError, TrustCode, TrustError
from common.fingerprints import grouped
from common.identity import Domain, PublicIdentity
from common.joining import KitBody, SiteKit, SiteRequest, check_possession
from common.lock import exclusive
from common.node_key import PublicNodeKey
from common.sealed import Passphrase
from server.authority import Issuer, issue
from server.provisioning import ServerFolder
from server.registry import OVERLAP, Credential, SiteEntry, Status

Outcome = Literal["enrolled", "renewed", "kit-issued-again"]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of a request.

    Attributes:
        fingerprint: of the request; the site's person sees the same one.
    """

    outcome: Outcome
    entry: SiteEntry
    kit: SiteKit
    fingerprint: str


def enroll_site(
    folder: ServerFolder,
    request_file: Path,
    out: Path,
    now: datetime,
    passphrase: Passphrase | None = None,
    fingerprint: str | None = None,
) -> Enrolled:
    """Answer a site's request, for a first enrolment or a renewal, with a kit written to `out`.

    Args:
        folder: the aggregator's.
        request_file: what the site sent.
        out: the kit; replaced when there.
        now: certificates begin an hour before.
        passphrase: of the authority's and the identity's key.
        fingerprint: what the site read out over the telephone; another request is refused.

    Raises:
        TrustError: the sender does not hold the keys, or a renewal is not signed with the enrolled identity.
        EnrollmentError: the name or a key is taken, or the file is not a request.
        KeyFileError: the private keys cannot be used.
    """
    request = read_document(SiteRequest, request_file, "a site's request")
    identity, node = check_possession(request)
    found = request.body.fingerprint()
    if fingerprint is not None and fingerprint != found:
        raise TrustError(
            TrustCode.WRONG_FINGERPRINT,
            f"{request_file} has the fingerprint {grouped(found)}, not the one given; ask the site what it sent",
        )
    with exclusive(folder.path):
        outcome, entry = _admit(folder, request, identity, node, now, folder.issuer(passphrase))
        kit = make_kit(folder, entry, now, passphrase)
        write_durably(out, f"{kit.to_json()}\n".encode())
    return Enrolled(outcome, entry, kit, found)


def make_kit(folder: ServerFolder, entry: SiteEntry, now: datetime, passphrase: Passphrase | None) -> SiteKit:
    """The signed kit for a site's current keys; raises KeyFileError."""
    federation, keys = folder.federation, folder.server_keys()
    body = KitBody(
        federation=federation.name,
        site=entry.name,
        hosts=federation.hosts,
        port=federation.port,
        authority=pem_of(folder.authority().certificate),
        aggregator=pem_of(keys.certificates()[0]),
        generation=keys.generation,
        rotations=folder.rotations(),
        site_certificate=entry.current.site_certificate,
        node_certificate=entry.current.node_certificate,
        made_at=now,
    )
    identity = folder.identity(passphrase)
    return SiteKit(body=body, signature=identity.sign(Domain.KIT, body.to_json().encode()))


def _admit(
    folder: ServerFolder,
    request: SiteRequest,
    identity: PublicIdentity,
    node: PublicNodeKey,
    now: datetime,
    issuer: Issuer,
) -> tuple[Outcome, SiteEntry]:
    """Bring the registry to where the request leads, and log it first: no change goes unlogged."""
    body, registry = request.body, folder.registry
    before = registry.find(body.site)
    asked_before = before is not None and (identity.text, node.line) == (
        before.current.identity_key,
        before.current.node_key,
    )
    if before is not None and asked_before and before.status is Status.ACTIVE:
        folder.audit(now).record("kit-issued-again", None, {"site": body.site})
        return "kit-issued-again", before
    if before is not None and asked_before and before.status is Status.SUSPENDED:
        raise EnrollmentError(
            f"site '{body.site}' is suspended since {before.changed_at:%Y-%m-%d %H:%M} UTC and gets no kit; run "
            f"fedmets-server reinstate {folder.path} {body.site}, then enroll again"
        )
    _refuse_taken(registry.all(), body.site, identity, node)
    if body.renewal is not None:
        before = _renewable(before, request, folder.authority(), now)
    elif before is not None and before.status is not Status.REMOVED:
        raise EnrollmentError(
            f"site '{body.site}' is enrolled already, with other keys, and {before.status}; it changes its keys "
            "with fedmets-site renew; if they are lost, remove it first"
        )
    credential = _certify(issuer, folder.federation.name, body.site, identity, node, now)
    entry = _entry_after(before, body.site, credential, renews=body.renewal is not None, now=now)
    outcome: Outcome = "renewed" if body.renewal is not None else "enrolled"
    serials = [format(certificate.serial_number, "x") for certificate in credential.certificates()]
    details = {
        "site": body.site,
        "identity": identity.fingerprint,
        "request": body.fingerprint(),
        "serials": serials,
    }
    folder.audit(now).record(f"site-{outcome}", None, details)
    registry.write(entry)
    return outcome, entry


def _refuse_taken(entries: list[SiteEntry], name: str, identity: PublicIdentity, node: PublicNodeKey) -> None:
    """A name that differs in capitals only, and any key ever seen here, whoever had it."""
    for entry in entries:
        if entry.name != name and entry.name.lower() == name.lower():
            raise EnrollmentError(
                f"site '{name}' differs from '{entry.name}' in capitals only; choose another name"
            )
        for credential in entry.credentials:
            if identity.text == credential.identity_key or node.line == credential.node_key:
                raise EnrollmentError(
                    f"the request of '{name}' brings a key that site '{entry.name}' was enrolled with; "
                    "every site makes its own, and a removed one makes new ones: fedmets-site request"
                )


def _renewable(before: SiteEntry | None, request: SiteRequest, authority: Authority, now: datetime) -> SiteEntry:
    """The entry to renew, if the enrolled identity itself asks for it, here and while it counts."""
    body, renewal = request.body, request.body.renewal
    if before is None or renewal is None:
        raise EnrollmentError(
            f"no site '{body.site}' is enrolled here to be renewed; it joins with fedmets-site request"
        )
    if renewal.authority != authority.fingerprint:
        raise TrustError(
            TrustCode.WRONG_AUTHORITY, f"the renewal of '{body.site}' is for the federation '{renewal.federation}'"
        )
    if before.status is not Status.ACTIVE:
        raise EnrollmentError(f"site '{body.site}' is {before.status}; only an active site renews its keys")
    if request.previous_proof is None:
        raise TrustError(
            TrustCode.BAD_SIGNATURE, f"the renewal of '{body.site}' is not signed with its old identity"
        )
    current = before.current
    identity = PublicIdentity.from_text(current.identity_key)
    identity.verify(Domain.RENEWAL, body.to_json().encode(), request.previous_proof)
    holder = Holder(renewal.federation, Role.SITE, body.site)
    authority.check(current.certificates()[0], holder, now)
    return before


def _certify(
    issuer: Issuer, federation: str, site: str, identity: PublicIdentity, node: PublicNodeKey, now: datetime
) -> Credential:
    identity_holder, node_holder = Holder(federation, Role.SITE, site), Holder(federation, Role.NODE, site)
    return Credential(
        identity_key=identity.text,
        node_key=node.line,
        site_certificate=pem_of(issue(issuer, identity_holder, identity.key, now)),
        node_certificate=pem_of(issue(issuer, node_holder, node.key, now)),
    )


def _entry_after(
    before: SiteEntry | None, name: str, credential: Credential, renews: bool, now: datetime
) -> SiteEntry:
    """The entry with the new pair: an old pair ends after the overlap, a removed site's ended with its removal."""
    if before is None:
        return SiteEntry(
            name=name, status=Status.ACTIVE, enrolled_at=now, changed_at=now, credentials=(credential,)
        )
    end = now + OVERLAP if renews else before.changed_at
    former = tuple(
        old if old.ends_at is not None and old.ends_at <= end else old.model_copy(update={"ends_at": end})
        for old in before.credentials
    )
    return SiteEntry(
        name=name,
        status=Status.ACTIVE,
        enrolled_at=before.enrolled_at if renews else now,
        changed_at=before.changed_at if renews else now,
        credentials=(*former, credential),
    )
