"""Certificates as both ends read them: whose they are, who issued them, until when they hold.

A certificate names its holder in a URI, `urn:fedmets:FEDERATION:ROLE:NAME`, so that the certificate of one role
cannot be shown for another. The federation's own authority issues all of them directly; there is no chain.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from common.errors import TrustCode, TrustError
from common.fingerprints import fingerprint_of
from common.identity import PublicIdentity

WARN_BEFORE = timedelta(days=30)


class Role(StrEnum):
    """What a certificate's holder is."""

    AGGREGATOR = "aggregator"
    GATEWAY = "gateway"
    LOOPBACK = "loopback"
    SITE = "site"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a certificate is about."""

    federation: str
    role: Role
    name: str

    @property
    def uri(self) -> str:
        """As it stands in the certificate: urn:fedmets:BMFED:site:hospital-a."""
        return f"urn:fedmets:{self.federation}:{self.role}:{self.name}"


@dataclass(frozen=True, slots=True)
class Authority:
    """A federation's authority as others see it.

    Attributes:
        certificate: self-signed.
        revoked: its revocation list; None where none is at hand, as at a site.
    """

    certificate: x509.Certificate
    revoked: x509.CertificateRevocationList | None = None

    @property
    def fingerprint(self) -> str:
        """sha256 of the certificate: what is compared over the telephone, the same for every site, for good."""
        return fingerprint_of(self.certificate.public_bytes(Encoding.DER))

    def check(self, certificate: x509.Certificate, holder: Holder, now: datetime) -> None:
        """Return if this authority issued the certificate to this holder and it holds now.

        Raises:
            TrustError: `wrong-authority`, `wrong-name`, `not-yet-valid`, `expired` or `revoked`.
        """
        check_dates(self.certificate, f"authority of {holder.federation}", now)
        self.check_issued(certificate, holder)
        check_dates(certificate, f"certificate of {holder.uri}", now)
        if self.revoked is not None:
            entry = self.revoked.get_revoked_certificate_by_serial_number(certificate.serial_number)
            if entry is not None:
                raise TrustError(
                    TrustCode.REVOKED,
                    f"the certificate of {holder.uri} is on the revocation list since "
                    f"{entry.revocation_date_utc:%Y-%m-%d %H:%M} UTC",
                )

    def check_issued(self, certificate: x509.Certificate, holder: Holder) -> None:
        """As `check`, without dates and revocation: what stays true for ever."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            raise TrustError(
                TrustCode.WRONG_AUTHORITY,
                f"the certificate for {holder.uri} was not issued by the authority {self.fingerprint[:16]}…",
            ) from None
        if holder.uri not in uris_of(certificate):
            raise TrustError(
                TrustCode.WRONG_NAME, f"the certificate is for {uris_of(certificate)}, expected {holder.uri}"
            )


def read_authority(pem: str | bytes) -> Authority:
    """Read an authority's certificate and check that it is one and signed itself; raises TrustError."""
    certificate = read_certificate(pem)
    try:
        certificate.verify_directly_issued_by(certificate)
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        is_authority = False
    if not is_authority:
        raise TrustError(TrustCode.WRONG_AUTHORITY, "the authority's certificate is not that of an authority")
    return Authority(certificate)


def read_revoked(pem: bytes, authority: x509.Certificate) -> x509.CertificateRevocationList:
    """Read a revocation list; raises TrustError unless this authority signed it."""
    try:
        revoked = x509.load_pem_x509_crl(pem)
        genuine = revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError):
        genuine = False
    if not genuine or revoked.issuer != authority.subject:
        raise TrustError(TrustCode.WRONG_AUTHORITY, "the revocation list is not signed by the authority")
    return revoked


def read_certificate(pem: str | bytes) -> x509.Certificate:
    """Read one certificate in PEM form; raises TrustError."""
    try:
        return x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem)
    except ValueError:
        raise TrustError(TrustCode.WRONG_AUTHORITY, "not a certificate in PEM form") from None


def pem_of(certificate: x509.Certificate) -> str:
    """The certificate in PEM form."""
    return certificate.public_bytes(Encoding.PEM).decode()


def identity_of(certificate: x509.Certificate) -> PublicIdentity:
    """The Ed25519 key that a certificate vouches for; raises TrustError when it holds another kind."""
    key = certificate.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise TrustError(TrustCode.WRONG_KEY, f"a certificate for {uris_of(certificate)} holds no Ed25519 key")
    return PublicIdentity(key.public_bytes_raw())


def uris_of(certificate: x509.Certificate) -> list[str]:
    """The URIs that a certificate names; empty when it names none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def check_dates(certificate: x509.Certificate, what: str, now: datetime) -> None:
    """Raise TrustError `not-yet-valid` or `expired` outside the certificate's dates, both ends included."""
    if now < certificate.not_valid_before_utc:
        raise TrustError(
            TrustCode.NOT_YET_VALID,
            f"{what}: valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and this machine's clock "
            f"says {now:%Y-%m-%d %H:%M}; check the clock",
        )
    if now > certificate.not_valid_after_utc:
        raise TrustError(
            TrustCode.EXPIRED,
            f"{what}: expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and this machine's clock "
            f"says {now:%Y-%m-%d %H:%M}",
        )
