"""`fedmets-site fetch`: a released model at a hospital, taken only with the aggregator's word for it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.approvals import plans_folder
from client.journal import note
from client.server_trust import follow_published, open_site
from client.site_folder import SiteFolder
from common.errors import EnrollmentError
from common.identity import Domain, Signature
from common.release import open_release, write_files
from common.rotation import Rotations
from common.sealed import Passphrase
from common.signed_release import files_of, read_signed
from common.wire import Envelope, ReleaseBody, read_body


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model that lies in the site's folder now.

    Attributes:
        path: of the folder, for fedmets-site segment.
        sha256: of the model.
    """

    name: str
    path: Path
    sha256: str
    round_id: int
    released_at: datetime


def fetch_release(
    folder: SiteFolder, source: Path | None, now: datetime, passphrase: Passphrase | None = None
) -> tuple[Fetched, ...]:
    """Verify released models and store them under SITE_DIR/models/NAME.

    Args:
        folder: of a joined site.
        source: a released model's folder that came by another way; None takes all that the aggregator has sent.
        now: the time.
        passphrase: of the identity key.

    Raises:
        TrustError: the aggregator that this site joined did not sign it.
        ModelRefused: a file of it is missing or changed.
        EnrollmentError: nothing was sent.
    """
    trust = open_site(folder, passphrase)
    found = [read_signed(source)] if source is not None else _sent(folder)
    if not found:
        raise EnrollmentError(
            f"{folder.path}: no model was sent to this site yet; ask the consortium to run "
            "fedmets-server release --send, or give the folder of a model that came by mail"
        )
    stored = []
    for body, message in found:
        if body.rotations and body.rotations[-1].body.generation > trust.aggregator.generation:
            follow_published(folder, Rotations(rotations=body.rotations), now)
            trust = open_site(folder, passphrase)
        trust.verify_aggregator(Domain.RELEASE, message.body, message.signature, now)
        stored.append(_store(folder, body, message, now))
    return tuple(stored)


def _sent(folder: SiteFolder) -> list[tuple[ReleaseBody, Envelope]]:
    """What lies in the plans' inboxes; the desk looked at each when it came, and it is looked at again here."""
    found = []
    for signature in sorted(plans_folder(folder).glob("*/release/signature.json")):
        inbox = signature.parent
        message = Envelope(
            (inbox / "body.json").read_bytes(),
            Signature.from_json(signature.read_bytes()),
            (inbox / "model.safetensors").read_bytes(),
        )
        found.append((read_body(ReleaseBody, message), message))
    return found


def _store(folder: SiteFolder, body: ReleaseBody, message: Envelope, now: datetime) -> Fetched:
    name = f"{body.plan_id[:12]}"
    path = folder.path / "models" / name
    write_files(path, files_of(body, message))
    release = open_release(path)
    note(folder, now, "release-stored", release.round_id, {"plan_id": body.plan_id, "sha256": release.sha256})
    return Fetched(release.plan.name, path, release.sha256, release.round_id, body.released_at)
