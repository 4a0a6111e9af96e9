"""`fedmets-site request` and `renew`: keys made at the hospital, and the public request that asks for a kit."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.site_config import write_template
from client.site_folder import KeyFolder, SiteFolder
from common.durable import write_durably
from common.errors import EnrollmentError
from common.generations import next_generation
from common.identity import IdentityKey
from common.joining import Renewal, RequestBody, SiteRequest, is_name, sign_request
from common.lock import exclusive
from common.node_key import NodeKey
from common.sealed import Passphrase


@dataclass(frozen=True, slots=True)
class Requested:
    """A request that waits to be sent.

    Attributes:
        file: what to send; public.
        fingerprint: what to read out to the consortium.
        new_keys: False when an earlier, unanswered request was written out again.
    """

    file: Path
    fingerprint: str
    new_keys: bool


def request_enrollment(
    folder: SiteFolder, name: str, now: datetime, passphrase: Passphrase | None = None
) -> Requested:
    """Make a site's keys and its request.

    Asked again before the kit has come, it writes the same request again and keeps the keys.

    Args:
        folder: the site's; made when absent.
        name: the site's, as plans will call it.
        now: stands in the request.
        passphrase: seals the identity key.

    Raises:
        EnrollmentError: not a name; a request under another name waits here; or the site has joined already.
    """
    if not is_name(name):
        raise EnrollmentError(
            f"--name '{name}': a site's name has up to 64 letters, digits, dots, dashes and underscores and "
            "begins with a letter or digit, such as hospital-a"
        )
    folder.make()
    with exclusive(folder.path):
        keys = folder.in_use()
        if keys is not None:
            raise EnrollmentError(
                f"{folder.path}: has joined '{keys.kit().body.federation}' already; change its keys with "
                f"fedmets-site renew {folder.path}, or choose another folder for another federation"
            )
        pending = folder.pending()
        if pending is not None:
            waiting = pending.request().body.site
            if waiting != name:
                raise EnrollmentError(
                    f"{folder.path}: a request of '{waiting}' waits here; choose another folder for '{name}'"
                )
        write_template(folder.path)
        if pending is not None:
            return _publish(folder, pending.request(), new_keys=False)
        return _make(folder, name, now, passphrase, None, None)


def request_renewal(folder: SiteFolder, now: datetime, passphrase: Passphrase | None = None) -> Requested:
    """Make the next keys of a joined site and a request signed with the present identity.

    The present keys stay in use until the kit for the new ones is joined. Asked again before that, it writes the
    same request again.

    Raises:
        EnrollmentError: the site has not joined.
        KeyFileError: the present keys cannot be used.
    """
    joined = folder.joined()
    with exclusive(folder.path):
        pending = folder.pending()
        if pending is not None:
            return _publish(folder, pending.request(), new_keys=False)
        previous = joined.identity(passphrase)
        kit = joined.kit()
        renewal = Renewal(
            federation=kit.body.federation,
            authority=kit.read_authority().fingerprint,
        )
        return _make(folder, kit.body.site, now, passphrase, renewal, previous)


def _make(
    folder: SiteFolder,
    name: str,
    now: datetime,
    passphrase: Passphrase | None,
    renewal: Renewal | None,
    previous: IdentityKey | None,
) -> Requested:
    identity, node = IdentityKey.generate(), NodeKey.generate()
    body = RequestBody(
        site=name, identity_key=identity.public.text, node_key=node.public.line, made_at=now, renewal=renewal
    )
    request = sign_request(body, identity, node, previous)
    event = "keys-made" if renewal is None else "next-keys-made"
    folder.audit(now).record(event, None, {"site": name, "identity": identity.public.fingerprint})
    with next_generation(folder.keys_folder) as path:
        building = KeyFolder(path)
        identity.save(building.identity_key, passphrase)
        node.save(building.node_key)
        write_durably(building.request_file, f"{request.to_json()}\n".encode())
    return _publish(folder, request, new_keys=True)


def _publish(folder: SiteFolder, request: SiteRequest, new_keys: bool) -> Requested:
    write_durably(folder.request_file, f"{request.to_json()}\n".encode())
    return Requested(folder.request_file, request.body.fingerprint(), new_keys)
