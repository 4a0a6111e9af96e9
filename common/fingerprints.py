"""Fingerprints that two people can compare over the telephone: sha256, in sixteen groups of four."""

import hashlib
import re

from common.errors import EnrollmentError

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_GROUP = 4


def fingerprint_of(data: bytes) -> str:
    """Hex sha256 of some bytes, 64 lower-case characters."""
    return hashlib.sha256(data).hexdigest()


def grouped(fingerprint: str) -> str:
    """The fingerprint as it is read aloud: "9f86d081..." is "9f86 d081 ..."."""
    return " ".join(fingerprint[start : start + _GROUP] for start in range(0, len(fingerprint), _GROUP))


def parse_fingerprint(text: str) -> str:
    """Accept what people type: blanks, colons, capitals, a leading "SHA256:".

    "SHA256: 9F86:D081 ..." is "9f86d081...".

    Raises:
        EnrollmentError: what is left is not 64 hexadecimal digits; a shortened fingerprint is refused as well,
            since a match of a few digits can be made on purpose.
    """
    bare = re.sub(r"[\s:]", "", text.lower().replace("sha256", ""))
    if not _HEX_SHA256.fullmatch(bare):
        raise EnrollmentError(
            f"fingerprint '{text}': has {len(bare)} characters where 64 hexadecimal digits belong; give it whole, "
            "blanks and colons are fine"
        )
    return bare
