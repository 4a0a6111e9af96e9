"""The sidecar's own certificate for the loopback address: SuperNode signs in over TLS only, also next door."""

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.certificates import pem_of
from common.durable import write_durably
from common.errors import KeyFileError
from common.keyfiles import load_key, save_key

LIFETIME = timedelta(days=3650)  # it vouches for nothing beyond this machine, and its key lies beside it
_BACKDATED = timedelta(hours=1)


def make_loopback_certificate(certificate_file: Path, key_file: Path, now: datetime) -> None:
    """Make a key (mode 0600) and a certificate that it signs itself, for localhost and 127.0.0.1, unless there.

    SuperNode believes it through `--root-certificates`, in the place of the federation's authority: whom the
    sidecar believes is decided by the sidecar's configuration.

    Raises:
        KeyFileError: the key that is there cannot be used.
        StorageError: the files cannot be written.
    """
    if key_file.exists() and certificate_file.exists():
        load_key(key_file, None)
        return
    if key_file.exists():
        key = load_key(key_file, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyFileError(f"{key_file}: not a key of fedmets-site nginx; remove it and run this again")
    else:
        key = ec.generate_private_key(ec.SECP384R1())
        save_key(key_file, key, None)
    write_durably(certificate_file, pem_of(_self_signed(key, now)).encode())


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedmets sidecar")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA384())
    )
