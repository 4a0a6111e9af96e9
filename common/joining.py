"""The two documents of joining: a site's request and the federation's kit. Neither holds a secret.

A request proves that its sender holds both private keys whose public halves it names. A kit is signed by the
aggregator's identity, which the authority inside the kit vouches for; whether that authority is the right one is
for two people to compare over the telephone, once.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from common.certificates import Authority, Holder, Role, identity_of, read_authority, read_certificate
from common.errors import TrustCode, TrustError
from common.identity import Base64Key, Domain, IdentityKey, PublicIdentity, Sha256, Signature
from common.node_key import NodeKey, NodeLine, NodeProof, PublicNodeKey
from common.plan import Name
from common.rotation import Rotation
from common.schema import Frozen

Pem = Annotated[str, Field(pattern=r"^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n$")]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$|^[0-9A-Fa-f:]{2,45}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


def is_name(text: str) -> bool:
    """Whether a text can be the name of a site."""
    try:
        TypeAdapter(Name).validate_python(text)
    except ValidationError:
        return False
    return True


def address_of(host: str, port: int) -> str:
    """Host and port as programs take them: fed.example.org:8443, [2001:db8::7]:8443."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Renewal(Frozen):
    """What a request says in addition when an enrolled site changes its keys.

    Attributes:
        federation, authority: where it is enrolled; so that the request is worth nothing elsewhere.
    """

    federation: Name
    authority: Sha256


class RequestBody(Frozen):
    """What a site says of itself: its name and two public keys."""

    schema_version: Literal[1] = 1
    site: Name
    identity_key: Base64Key
    node_key: NodeLine
    made_at: AwareDatetime
    renewal: Renewal | None = None

    def public_keys(self) -> tuple[PublicIdentity, PublicNodeKey]:
        """The two keys; raises TrustError when one is none."""
        return PublicIdentity.from_text(self.identity_key), PublicNodeKey.from_line(self.node_key)


class SiteRequest(Frozen):
    """A body with its proofs.

    Attributes:
        identity_proof, node_proof: the body, signed with each of the private keys it names.
        previous_proof: of a renewal, the body signed with the identity enrolled before.
    """

    body: RequestBody
    identity_proof: Signature
    node_proof: NodeProof
    previous_proof: Signature | None = None


class KitBody(Frozen):
    """All that a site needs to know of a federation.

    Attributes:
        federation, site: their names.
        hosts: names and addresses of the gateway, the first to be dialled.
        authority: the authority's certificate.
        aggregator, generation: the certificate of the aggregator's identity, and which one it is, from 1.
        rotations: how the aggregator's identity came from its first to this one.
        site_certificate, node_certificate: vouch for the keys that the site asked with.
    """

    schema_version: Literal[1] = 1
    federation: Name
    site: Name
    hosts: Annotated[tuple[Host, ...], Field(min_length=1)]
    port: Port
    authority: Pem
    aggregator: Pem
    generation: Annotated[int, Field(ge=1)]
    rotations: tuple[Rotation, ...] = ()
    site_certificate: Pem
    node_certificate: Pem
    made_at: AwareDatetime

    @property
    def address(self) -> str:
        """Where the gateway is dialled."""
        return address_of(self.hosts[0], self.port)


class SiteKit(Frozen):
    """A signed kit."""

    body: KitBody
    signature: Signature

    def read_authority(self) -> Authority:
        """The authority that the kit names; raises TrustError."""
        return read_authority(self.body.authority)


def sign_request(
    body: RequestBody, identity: IdentityKey, node: NodeKey, previous: IdentityKey | None = None
) -> SiteRequest:
    """Add the proofs of possession to a body."""
    payload = body.to_json().encode()
    return SiteRequest(
        body=body,
        identity_proof=identity.sign(Domain.REQUEST, payload),
        node_proof=node.prove_possession(Domain.REQUEST, payload),
        previous_proof=previous.sign(Domain.RENEWAL, payload) if previous else None,
    )


def check_possession(request: SiteRequest) -> tuple[PublicIdentity, PublicNodeKey]:
    """Return the two public keys if the sender holds both private ones; raises TrustError."""
    payload = request.body.to_json().encode()
    identity, node = request.body.public_keys()
    identity.verify(Domain.REQUEST, payload, request.identity_proof)
    node.verify_possession(Domain.REQUEST, payload, request.node_proof)
    return identity, node


def check_kit_signature(kit: SiteKit) -> None:
    """Return if the kit is as its own authority's aggregator signed it; raises TrustError.

    Says nothing on whether that authority is the one that the site means, nor on dates.
    """
    body = kit.body
    aggregator = read_certificate(body.aggregator)
    holder = Holder(body.federation, Role.AGGREGATOR, body.federation)
    kit.read_authority().check_issued(aggregator, holder)
    identity_of(aggregator).verify(Domain.KIT, body.to_json().encode(), kit.signature)


def check_kit_answers(kit: SiteKit, asked: RequestBody) -> None:
    """Return if the kit's certificates vouch for the name and the keys that were asked with; raises TrustError."""
    body, site = kit.body, asked.site
    if body.site != site:
        raise TrustError(
            TrustCode.WRONG_NAME, f"the kit is for site '{body.site}', and this site asked as '{site}'"
        )
    identity, node = asked.public_keys()
    certificate, node_certificate = (
        read_certificate(body.site_certificate),
        read_certificate(body.node_certificate),
    )
    if identity_of(certificate) != identity or node_certificate.public_key() != node.key:
        raise TrustError(
            TrustCode.WRONG_KEY,
            f"the kit for '{site}' vouches for other keys than those in this folder; it answers another request",
        )
    authority = kit.read_authority()
    authority.check_issued(certificate, Holder(body.federation, Role.SITE, site))
    authority.check_issued(node_certificate, Holder(body.federation, Role.NODE, site))
