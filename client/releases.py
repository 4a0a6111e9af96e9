"""`fedmets-site fetch`: a released model at a hospital, taken only with the aggregator's word for it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from client.approvals import plans_folder
from client.journal import note, require_log
from client.server_trust import SiteTrust, follow_published, open_site
from client.site_folder import SiteFolder
from common.errors import EnrollmentError, FedmetsError, ModelRefused, TrustError, WireError
from common.identity import Domain, Signature
from common.release import SIGNATURE, Release, open_release, write_files
from common.rotation import Rotations
from common.sealed import Passphrase
from common.signed_release import files_of, read_signed
from common.wire import Envelope, ReleaseBody, read_body

_SEND_AGAIN = "ask the consortium to send the release again"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model that lies in the site's folder now.

    Attributes:
        path: of the folder, for fedmets-site segment.
        sha256: of the model.
        was_here: this very release was stored before.
    """

    name: str
    path: Path
    sha256: str
    round_id: int
    released_at: datetime
    was_here: bool


@dataclass(frozen=True, slots=True)
class NotFetched:
    """A release that was sent to this site and not stored.

    Attributes:
        source: the folder where it lies.
        reason: why, and what to do.
    """

    source: Path
    reason: str


@dataclass(frozen=True, slots=True)
class SentReleases:
    """What became of each release that the aggregator has sent; none keeps another from being stored."""

    fetched: tuple[Fetched, ...]
    refused: tuple[NotFetched, ...]


def fetch_release(
    folder: SiteFolder, source: Path, now: datetime, passphrase: Passphrase | None = None
) -> Fetched:
    """Verify a released model that came by another way and store it under SITE_DIR/models/NAME.

    Args:
        folder: of a joined site.
        source: the model's folder.
        now: the time.
        passphrase: of the identity key.

    Raises:
        TrustError: the aggregator that this site joined did not sign it.
        ModelRefused: a file of it is missing or changed.
        AuditBroken: the site's log does not hold, so that nothing can be written down.
    """
    require_log(folder, now)
    body, message = read_signed(source)
    return _take(folder, body, message, now, passphrase)


def fetch_sent(folder: SiteFolder, now: datetime, passphrase: Passphrase | None = None) -> SentReleases:
    """Verify every release that the aggregator has sent, each for itself, and store those that hold.

    A release that is stored already is left alone, also where its signature no longer counts: the aggregator's
    keys may have been rotated since.

    Args:
        folder: of a joined site.
        now: the time.
        passphrase: of the identity key.

    Raises:
        EnrollmentError: nothing was sent.
        TrustError, KeyFileError: the site's own files cannot be used.
        AuditBroken: the site's log does not hold, so that nothing can be written down.
    """
    open_site(folder, passphrase)
    require_log(folder, now)
    fetched: list[Fetched] = []
    refused: list[NotFetched] = []
    # The desk looked at each when it came; it is looked at again here.
    for signature in sorted(plans_folder(folder).glob("*/release/signature.json")):
        inbox = signature.parent
        try:
            body, message = _read_sent(inbox)
            fetched.append(_take(folder, body, message, now, passphrase))
        except FedmetsError as error:
            refused.append(NotFetched(inbox, str(error)))
    if not fetched and not refused:
        raise EnrollmentError(
            f"{folder.path}: no model was sent to this site yet; ask the consortium to run "
            "fedmets-server release --send, or give the folder of a model that came by mail"
        )
    return SentReleases(tuple(fetched), tuple(refused))


def _read_sent(inbox: Path) -> tuple[ReleaseBody, Envelope]:
    """What the desk kept of a release; raises ModelRefused when it is not whole any more."""
    try:
        body, payload = (inbox / "body.json").read_bytes(), (inbox / "model.safetensors").read_bytes()
        message = Envelope(body, Signature.from_json((inbox / "signature.json").read_bytes()), payload)
        return read_body(ReleaseBody, message), message
    except OSError as error:
        raise ModelRefused(f"{error.filename}: cannot be read ({error.strerror}); {_SEND_AGAIN}") from None
    except ValidationError:
        raise ModelRefused(f"{inbox / 'signature.json'}: not a signature; {_SEND_AGAIN}") from None
    except WireError as error:
        raise ModelRefused(f"{inbox}: {error}; {_SEND_AGAIN}") from None


def _take(
    folder: SiteFolder, body: ReleaseBody, message: Envelope, now: datetime, passphrase: Passphrase | None
) -> Fetched:
    """Store a release that the aggregator signed; one whose key was rotated since may be here from before."""
    path, files = folder.path / "models" / body.plan_id[:12], files_of(body, message)
    here = _here(path, body)
    if here is not None and (path / SIGNATURE).read_bytes() == files[SIGNATURE]:
        return here
    try:
        trust = _follow(folder, body, now, passphrase)
        trust.verify_aggregator(Domain.RELEASE, message.body, message.signature, now)
    except TrustError:
        if here is not None:
            return here
        raise
    note(folder, now, "release-taken", None, {"plan_id": body.plan_id, "sha256": body.payload.sha256})
    write_files(path, files)
    release = open_release(path)
    note(folder, now, "release-stored", release.round_id, {"plan_id": body.plan_id, "sha256": release.sha256})
    return _fetched(path, release, body, was_here=False)


def _here(path: Path, body: ReleaseBody) -> Fetched | None:
    """The model of a release if it is stored, whole and signed; None where it has to be stored anew."""
    try:
        release = open_release(path)
    except ModelRefused:
        return None
    same = release.sha256 == body.payload.sha256 and (path / SIGNATURE).is_file()
    return _fetched(path, release, body, was_here=True) if same else None


def _fetched(path: Path, release: Release, body: ReleaseBody, was_here: bool) -> Fetched:
    return Fetched(release.plan.name, path, release.sha256, release.round_id, body.released_at, was_here)


def _follow(folder: SiteFolder, body: ReleaseBody, now: datetime, passphrase: Passphrase | None) -> SiteTrust:
    """What the site believes, once it has followed the rotations that a release brings along."""
    trust = open_site(folder, passphrase)
    if not body.rotations or body.rotations[-1].body.generation <= trust.aggregator.generation:
        return trust
    follow_published(folder, Rotations(rotations=body.rotations), now)
    return open_site(folder, passphrase)
