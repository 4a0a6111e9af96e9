import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from common.errors import KeyFileError, TrustCode, TrustError
from common.identity import Domain
from common.keyfiles import write_private_file
from common.node_key import NodeKey, PublicNodeKey

KEY = NodeKey.generate()


def test_files_are_what_a_supernode_reads(tmp_path: Path) -> None:
    """The very calls that Flower's SuperNode and `flwr supernode register` make."""
    KEY.save(tmp_path / "node")
    private = load_ssh_private_key((tmp_path / "node").read_bytes(), None)
    public = load_ssh_public_key((tmp_path / "node.pub").read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp384r1"
    assert private.public_key() == public == KEY.key.public_key()
    assert (tmp_path / "node").stat().st_mode & 0o777 == 0o600
    assert NodeKey.load(tmp_path / "node").public == KEY.public


def test_ssh_keygen_reads_the_same_public_key(tmp_path: Path) -> None:
    ssh_keygen = shutil.which("ssh-keygen")
    if ssh_keygen is None:
        pytest.skip("ssh-keygen is not installed")
    KEY.save(tmp_path / "node")
    done = subprocess.run(
        [ssh_keygen, "-y", "-f", str(tmp_path / "node")], check=True, capture_output=True, text=True
    )
    assert done.stdout.split()[:2] == KEY.public.line.split()


def test_possession_is_proved_for_one_payload_and_purpose() -> None:
    proof = KEY.prove_possession(Domain.REQUEST, b"body")
    KEY.public.verify_possession(Domain.REQUEST, b"body", proof)
    for domain, payload, key in (
        (Domain.REQUEST, b"other", KEY),
        (Domain.KIT, b"body", KEY),
        (Domain.REQUEST, b"body", NodeKey.generate()),
    ):
        with pytest.raises(TrustError) as refused:
            key.public.verify_possession(domain, payload, proof)
        assert refused.value.code == TrustCode.BAD_SIGNATURE


def test_another_curve_or_kind_is_refused(tmp_path: Path) -> None:
    p256 = ec.generate_private_key(ec.SECP256R1()).public_key()
    line = p256.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    for text in (line, "ssh-ed25519 AAAA", "nonsense", ""):
        with pytest.raises(TrustError, match="not a P-384 public key"):
            PublicNodeKey.from_line(text)
    write_private_file(tmp_path / "node", b"-----BEGIN NOTHING-----")
    with pytest.raises(KeyFileError, match="not a P-384 key in OpenSSH form"):
        NodeKey.load(tmp_path / "node")


def test_a_wide_node_key_is_refused_and_its_repr_is_masked(tmp_path: Path) -> None:
    KEY.save(tmp_path / "node")
    (tmp_path / "node").chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        NodeKey.load(tmp_path / "node")
    assert "PrivateKey" not in repr(KEY)
