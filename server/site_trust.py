"""Whether what claims to come from a site does: asked for every message, answered from the disk as it is now."""

from datetime import datetime

from common.certificates import Holder, Role
from common.errors import TrustCode, TrustError
from common.identity import Bytes, Domain, PublicIdentity, Signature
from server.provisioning import ServerFolder
from server.registry import Credential, SiteEntry, Status

_STANDING_CODES = {Status.SUSPENDED: TrustCode.SUSPENDED, Status.REMOVED: TrustCode.REMOVED}


def verify_site(
    folder: ServerFolder, site: str, domain: Domain, payload: Bytes, signature: Signature, now: datetime
) -> None:
    """Return if this site, enrolled and active, signed this payload for this purpose with keys that hold now.

    Raises:
        TrustError: `unknown-site`, `suspended`, `removed`, `wrong-key` (another site's, or one that a renewal put
            out of force), `expired`, `not-yet-valid`, `revoked` or `bad-signature`.
    """
    credential = _credential_of(_active(folder, site), signature.key, now)
    certificate, _ = credential.certificates()
    folder.authority().check(certificate, Holder(folder.federation.name, Role.SITE, site), now)
    PublicIdentity.from_text(credential.identity_key).verify(domain, payload, signature)


def node_keys(folder: ServerFolder, now: datetime) -> dict[str, tuple[str, ...]]:
    """The public node keys of every active site: who may sign in at the SuperLink."""
    return {entry.name: keys for entry in folder.registry.all() if (keys := entry.node_keys(now))}


def _active(folder: ServerFolder, site: str) -> SiteEntry:
    entry = folder.registry.find(site)
    if entry is None:
        raise TrustError(TrustCode.UNKNOWN_SITE, f"no site '{site[:80]}' is enrolled")
    if entry.status is not Status.ACTIVE:
        raise TrustError(
            _STANDING_CODES[entry.status],
            f"site '{site}' is {entry.status} since {entry.changed_at:%Y-%m-%d %H:%M}",
        )
    return entry


def _credential_of(entry: SiteEntry, key: str, now: datetime) -> Credential:
    for credential in entry.credentials:
        if credential.key_id == key and credential.in_force(now):
            return credential
    raise TrustError(TrustCode.WRONG_KEY, f"key {key[:16]}… is none that site '{entry.name}' is enrolled with now")
