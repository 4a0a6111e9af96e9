"""What the consortium should know of its federation's certificates and sites."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.errors import KeyFileError
from common.expiry import Finding, Level, expiry_of, worst
from common.fingerprints import grouped
from common.keyfiles import read_private_file
from server.audit_finding import audit_finding
from server.provisioning import ServerFolder
from server.registry import SiteEntry, Status
from server.standing import unlisted_revocations


@dataclass(frozen=True, slots=True)
class TrustStatus:
    """A federation at a glance.

    Attributes:
        fingerprint: of the authority: what hospitals compare over the telephone.
        sites: standing by name.
        findings: one a certificate in use, and more where something is amiss, private keys that others can read
            included.
    """

    federation: str
    address: str
    fingerprint: str
    generation: int
    sites: dict[str, str]
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """The worst finding."""
        return worst(self.findings)

    def lines(self) -> list[str]:
        """As a terminal shows it."""
        sites = [f"site {name}: {standing}" for name, standing in self.sites.items()] or [
            "no site is enrolled yet"
        ]
        head = [
            f"federation {self.federation} at {self.address}, server keys of generation {self.generation}",
            f"authority fingerprint {grouped(self.fingerprint)}",
        ]
        return [*head, *sites, *(finding.line for finding in self.findings)]


def trust_status(folder: ServerFolder, now: datetime) -> TrustStatus:
    """Look at every certificate in use; raises TrustError or EnrollmentError for a damaged folder."""
    federation, keys, authority = folder.federation, folder.server_keys(), folder.authority()
    identity, tls = keys.certificates()
    entries = folder.registry.all()
    rotate = f"run: fedmets-server rotate {folder.path}"
    findings = [
        expiry_of(
            authority.certificate, "authority", "found a new federation in time and enrol the sites there", now
        ),
        expiry_of(identity, "aggregator identity", rotate, now),
        expiry_of(tls, "server TLS certificate", rotate, now),
        *(_of_site(entry, now) for entry in entries if entry.status is not Status.REMOVED),
    ]
    missing = unlisted_revocations(folder, now)
    if missing:
        advice = f"run: fedmets-server rotate {folder.path}, or suspend and reinstate a site, which rewrite it"
        findings.append(Finding("warn", "revocation list", f"{missing} certificates are not on it yet", advice))
    findings += [*_of_private_keys(folder), audit_finding(folder)]
    return TrustStatus(
        federation=federation.name,
        address=federation.address,
        fingerprint=authority.fingerprint,
        generation=keys.generation,
        sites={entry.name: str(entry.status) for entry in entries},
        findings=findings,
    )


def _of_private_keys(folder: ServerFolder) -> list[Finding]:
    """A warning for each that `up`, `nginx` or `enroll` would refuse; the authority's may be kept elsewhere."""
    kept: tuple[Path, ...] = (folder.authority_key,) if folder.authority_key.exists() else ()
    findings = []
    for key in (*kept, *folder.server_keys().private()):
        try:
            read_private_file(key)
        except KeyFileError as error:
            findings.append(Finding("warn", "private key", str(error)))
    return findings


def _of_site(entry: SiteEntry, now: datetime) -> Finding:
    """Both certificates of a site end together, so the first to end speaks for the pair."""
    first = min(entry.current.certificates(), key=lambda certificate: certificate.not_valid_after_utc)
    advice = f"ask {entry.name} to run: fedmets-site renew"
    too_late = f"remove {entry.name} and ask it to run fedmets-site request in another folder"
    return expiry_of(first, f"certificates of site {entry.name}", advice, now, too_late)
