"""What a hospital's engineer should know of the site's keys and certificates, one line each."""

from datetime import datetime

from client.joining import believed_aggregator
from client.site_folder import KeyFolder, SiteFolder
from common.certificates import read_certificate
from common.errors import FedmetsError, KeyFileError
from common.expiry import Finding, expiry_of
from common.fingerprints import grouped
from common.joining import SiteKit, check_kit_answers, check_kit_signature
from common.keyfiles import is_locked
from common.rotation import Aggregator


def check_trust(folder: SiteFolder, now: datetime) -> list[Finding]:
    """Look at keys, kit and certificates, without a passphrase and without a network.

    Raises:
        EnrollmentError: the site has not joined.
    """
    keys = folder.joined()
    findings = [_private_keys(keys)]
    try:
        kit = keys.kit()
        check_kit_signature(kit)
        check_kit_answers(kit, keys.request().body)
        aggregator = believed_aggregator(kit, folder.rotations())
    except FedmetsError as error:
        return [*findings, Finding("fail", "federation", str(error), "restore the folder from its backup")]
    findings += [_federation(kit), *_certificates(folder, kit, aggregator, now)]
    if folder.pending() is not None:
        advice = f"send {folder.request_file} to the consortium, then run fedmets-site join with its kit"
        findings.append(Finding("warn", "renewal", "new keys wait for their kit", advice))
    return findings


def _private_keys(keys: KeyFolder) -> Finding:
    try:
        locked = is_locked(keys.identity_key)
        node = keys.node()
        asked = keys.request().body
        if node.public.line != asked.node_key:
            raise KeyFileError(
                f"{keys.node_key}: is not the key that this site asked with; restore it from its backup"
            )
        if not locked and keys.identity(None).public.text != asked.identity_key:
            raise KeyFileError(
                f"{keys.identity_key}: is not the key that this site asked with; restore it from its backup"
            )
    except FedmetsError as error:
        return Finding("fail", "private keys", str(error))
    return Finding(
        "ok", "private keys", f"readable by their owner alone, {'locked' if locked else 'no passphrase'}"
    )


def _federation(kit: SiteKit) -> Finding:
    body, fingerprint = kit.body, grouped(kit.read_authority().fingerprint)
    return Finding(
        "ok", "federation", f"{body.federation} at {body.address} as '{body.site}', authority {fingerprint}"
    )


def _certificates(folder: SiteFolder, kit: SiteKit, aggregator: Aggregator, now: datetime) -> list[Finding]:
    authority, body = kit.read_authority(), kit.body
    renew = f"run: fedmets-site renew {folder.path}"
    too_late = "too late to renew: ask the consortium to remove this site, then join anew from another folder"
    rotate = "ask the consortium for its list of rotations, then run fedmets-site follow"
    return [
        expiry_of(authority.certificate, "authority", "ask the consortium", now),
        expiry_of(aggregator.certificate, f"aggregator identity, generation {aggregator.generation}", rotate, now),
        expiry_of(read_certificate(body.site_certificate), "site identity certificate", renew, now, too_late),
        expiry_of(read_certificate(body.node_certificate), "node certificate", renew, now, too_late),
    ]
