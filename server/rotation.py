"""`fedmets-server rotate`: a new identity and a new TLS certificate, without asking anything of the sites."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from common.audit import JSON
from common.durable import write_durably
from common.errors import EnrollmentError
from common.generations import next_generation
from common.lock import exclusive
from common.rotation import Rotation, Rotations, sign_rotation
from common.sealed import Passphrase
from server.provisioning import Federation, ServerFolder, fault_of
from server.server_keys import ServerKeys, make_server_keys
from server.standing import refresh_revocation_list


def rotate_server(
    folder: ServerFolder,
    now: datetime,
    passphrase: Passphrase | None = None,
    more_hosts: Sequence[str] = (),
    dial: str | None = None,
) -> Rotation:
    """Make the next generation of the server's keys, signed in by the present identity.

    The new folder appears whole, with its statement; then the old certificates go onto the revocation list and
    the old private keys are deleted. A running gateway takes the new certificate up at its next start.

    Args:
        folder: the aggregator's.
        now: certificates begin an hour before.
        passphrase: opens the old keys and seals the new identity, when the old one was sealed.
        more_hosts: names or addresses to be certified from now on besides the federation's own.
        dial: the name or address that every kit names first from now on, certified too; None leaves that as it is.
            A site goes on dialling the one in its own kit until it joins another.

    Raises:
        EnrollmentError: a host is not one.
        KeyFileError: the authority's or the old identity's key cannot be used.
    """
    with exclusive(folder.path):
        federation = _with_hosts(folder.federation, more_hosts, dial)
        issuer, old, old_keys = folder.issuer(passphrase), folder.identity(passphrase), folder.server_keys()
        new = make_server_keys(issuer, federation.name, federation.hosts, now)
        generation = old_keys.generation + 1
        rotation = sign_rotation(federation.name, generation, new.identity_certificate, old, now)
        details: dict[str, JSON] = {
            "generation": generation,
            "old": old.public.fingerprint,
            "new": new.identity.public.fingerprint,
            "hosts": federation.hosts,
        }
        folder.audit(now).record("server-keys-rotated", None, details)
        with next_generation(folder.server) as building:
            new.save(building, passphrase)
            write_durably(building / "rotation.json", f"{rotation.to_json()}\n".encode())
        if federation != folder.federation:
            write_durably(folder.path / "federation.json", f"{federation.to_json()}\n".encode())
        refresh_revocation_list(folder, issuer, folder.registry.all(), now)
        for path in folder.generations()[:-1]:
            ServerKeys(path).forget_private()
    return rotation


def published_rotations(folder: ServerFolder) -> Rotations:
    """What a site needs to follow, however many rotations it missed; public."""
    return Rotations(rotations=folder.rotations())


def _with_hosts(federation: Federation, more_hosts: Sequence[str], dial: str | None) -> Federation:
    first = () if dial is None else (dial,)
    hosts = tuple(dict.fromkeys((*first, *federation.hosts, *more_hosts)))
    try:
        return Federation.from_json(federation.model_copy(update={"hosts": hosts}).to_json())
    except ValidationError as error:
        raise EnrollmentError(f"--host or --dial {fault_of(error)}") from None
