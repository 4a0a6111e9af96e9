"""A new identity of the aggregator, introduced by the one before it.

A site believes a new identity when two agree: the identity it believes today signs the statement, and the
authority that it compared over the telephone issued the new certificate. So no site has to enrol anew, and
neither a stolen identity key nor a stolen authority key alone can put another aggregator in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from cryptography import x509
from pydantic import AwareDatetime, Field

from common.certificates import Authority, Holder, Role, check_dates, identity_of, pem_of, read_certificate
from common.errors import TrustCode, TrustError
from common.identity import Domain, IdentityKey, Signature
from common.plan import Name
from common.schema import Frozen


class RotationBody(Frozen):
    """The statement: from `rotated_at` on, identity `generation` of the federation is this one."""

    schema_version: Literal[1] = 1
    federation: Name
    generation: Annotated[int, Field(ge=2)]
    certificate: str
    rotated_at: AwareDatetime


class Rotation(Frozen):
    """The statement, signed by the identity of the generation before."""

    body: RotationBody
    signature: Signature


class Rotations(Frozen):
    """All rotations of a federation, in order: what the server publishes."""

    rotations: tuple[Rotation, ...]


@dataclass(frozen=True, slots=True)
class Aggregator:
    """The aggregator's identity that a site believes.

    Attributes:
        certificate: issued by the authority.
        generation: 1 for the first; each rotation adds one.
    """

    certificate: x509.Certificate
    generation: int


def sign_rotation(
    federation: str, generation: int, certificate: x509.Certificate, old: IdentityKey, now: datetime
) -> Rotation:
    """State with the old identity that `certificate` holds the new one, of this generation."""
    body = RotationBody(
        federation=federation, generation=generation, certificate=pem_of(certificate), rotated_at=now
    )
    return Rotation(body=body, signature=old.sign(Domain.ROTATION, body.to_json().encode()))


def follow_rotations(
    start: Aggregator, rotations: Sequence[Rotation], authority: Authority, federation: str
) -> Aggregator:
    """Go from the identity believed today to the newest that these statements lead to.

    Statements up to today's generation are passed over; so the whole list can be given each time, and nobody can
    lead a site back to an older identity. The new certificate must hold at the time of the rotation. The old
    one may have expired: else a federation that slept through the date could only enrol everybody anew, and
    the authority's word is asked for besides.

    Raises:
        TrustError: `broken-rotation` for a gap or another federation;
            `wrong-key`, `bad-signature`, `wrong-authority` or `wrong-name` for a forged statement.
    """
    current = start
    for rotation in sorted(rotations, key=lambda rotation: rotation.body.generation):
        if rotation.body.generation > current.generation:
            current = _step(current, rotation, authority, federation)
    return current


def _step(current: Aggregator, rotation: Rotation, authority: Authority, federation: str) -> Aggregator:
    body = rotation.body
    if body.federation != federation or body.generation != current.generation + 1:
        raise TrustError(
            TrustCode.BROKEN_ROTATION,
            f"a rotation to generation {body.generation} of '{body.federation}' does not follow generation "
            f"{current.generation} of '{federation}'; ask for the whole list",
        )
    identity_of(current.certificate).verify(Domain.ROTATION, body.to_json().encode(), rotation.signature)
    new = read_certificate(body.certificate)
    authority.check_issued(new, Holder(federation, Role.AGGREGATOR, federation))
    check_dates(new, f"aggregator of generation {body.generation}", body.rotated_at)
    identity_of(new)
    return Aggregator(new, body.generation)
