"""The federation's own certificate authority: its key, what it issues, and its revocation list.

EC P-384 with SHA-384 throughout; `openssl x509`, `openssl verify` and every TLS library read what comes out.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.certificates import Holder, Role
from common.errors import KeyFileError
from common.keyfiles import load_key
from common.sealed import Passphrase

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | Ed25519PublicKey
AUTHORITY_LIFETIME = timedelta(days=3650)
BACKDATED = timedelta(hours=1)  # a site's clock may lag behind the authority's
LIFETIMES = {
    Role.AGGREGATOR: timedelta(days=1825),
    Role.GATEWAY: timedelta(days=365),
    Role.LOOPBACK: timedelta(days=1825),  # as the identity: what ends with the gateway's must not end a run
    Role.SITE: timedelta(days=730),
    Role.NODE: timedelta(days=730),
}
_USAGES = {
    Role.GATEWAY: ExtendedKeyUsageOID.SERVER_AUTH,
    Role.LOOPBACK: ExtendedKeyUsageOID.SERVER_AUTH,
    Role.NODE: ExtendedKeyUsageOID.CLIENT_AUTH,
}


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority with its private key; the key does not show in `repr`."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revocation:
    """One certificate that no longer holds, since when and why."""

    serial: int
    since: datetime
    reason: x509.ReasonFlags


def create_issuer(federation: str, now: datetime) -> Issuer:
    """A new authority, valid for ten years, that may issue no authority below itself."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = _subject("authority", federation)
    begin = now - BACKDATED
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    return Issuer(certificate, key)


def open_issuer(certificate: x509.Certificate, key_file: Path, passphrase: Passphrase | None) -> Issuer:
    """Read the authority's key; raises KeyFileError when it is not the certificate's."""
    key = load_key(key_file, passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise KeyFileError(f"{key_file}: not the key of authority.crt beside it; restore both from one backup")
    return Issuer(certificate, key)


def issue(
    issuer: Issuer, holder: Holder, public_key: PublicKey, now: datetime, hosts: Sequence[str] = ()
) -> x509.Certificate:
    """Issue a certificate for a role's lifetime, but never beyond the authority's own end.

    Args:
        issuer: the authority.
        holder: stands in the certificate as a URI, its name as the common name.
        public_key: the key vouched for.
        now: the certificate is valid from an hour before.
        hosts: names and addresses, of a gateway's certificate.
    """
    begin = now - BACKDATED
    names: list[x509.GeneralName] = [_host(host) for host in hosts]
    names.append(x509.UniformResourceIdentifier(holder.uri))
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(hosts[0][:64] if hosts else holder.name, holder.federation))
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(min(begin + LIFETIMES[holder.role], issuer.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    if holder.role in _USAGES:
        builder = builder.add_extension(x509.ExtendedKeyUsage([_USAGES[holder.role]]), critical=False)
    return builder.sign(issuer.key, hashes.SHA384())


def build_revocation_list(
    issuer: Issuer, revocations: Iterable[Revocation], number: int, now: datetime
) -> x509.CertificateRevocationList:
    """Sign a revocation list.

    It lies where it is read, beside the authority, so it cannot grow stale on a way; its next update is therefore
    the authority's own end. With a nearer date, a TLS server would refuse every site on the day after it.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for revocation in sorted(revocations, key=lambda revocation: revocation.serial):
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(revocation.serial)
            .revocation_date(revocation.since)
            .add_extension(x509.CRLReason(revocation.reason), critical=False)
            .build()
        )
    return builder.sign(issuer.key, hashes.SHA384())


def number_of(revoked: x509.CertificateRevocationList) -> int:
    """The list's number; each new list has a higher one."""
    return revoked.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _subject(common_name: str, federation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
