"""Which site is behind which of Flower's nodes: told by the key that a node signs in with, and the registry."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flwr.proto.node_pb2 import NodeInfo

from common.node_key import PublicNodeKey
from server.provisioning import ServerFolder
from server.site_trust import node_keys


def signed_in(nodes: Iterable[NodeInfo], folder: ServerFolder, now: datetime) -> Mapping[str, int]:
    """The node of each active site that is signed in; a node whose key is nobody's is passed over."""
    site_of = {line: site for site, lines in node_keys(folder, now).items() for line in lines}
    found = {}
    for node in nodes:
        site = site_of.get(_line_of(node.public_key))
        if site is not None:
            found[site] = node.node_id
    return found


def _line_of(public_key: bytes) -> str:
    """A key as the registry writes it; empty for what is no key on a curve."""
    try:
        key = load_pem_public_key(public_key)
    except ValueError:
        return ""
    return PublicNodeKey.of(key).line if isinstance(key, ec.EllipticCurvePublicKey) else ""
