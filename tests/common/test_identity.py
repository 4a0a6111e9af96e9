import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from common.errors import KeyFileError, TrustCode, TrustError
from common.identity import Bytes, Domain, IdentityKey, PublicIdentity, Signature, signed_bytes
from common.keyfiles import save_key

KEY = IdentityKey.generate()


def code_of(key: PublicIdentity, domain: Domain, payload: Bytes, signature: Signature) -> TrustCode | None:
    try:
        key.verify(domain, payload, signature)
    except TrustError as error:
        return error.code
    return None


@given(st.binary(max_size=200), st.sampled_from(Domain))
def test_what_was_signed_verifies(payload: bytes, domain: Domain) -> None:
    signature = KEY.sign(domain, payload)
    assert code_of(KEY.public, domain, payload, signature) is None
    assert code_of(KEY.public, domain, memoryview(payload), signature) is None


@given(st.binary(min_size=1, max_size=50), st.integers(min_value=0), st.integers(1, 255))
def test_any_changed_byte_of_the_payload_is_noticed(payload: bytes, place: int, change: int) -> None:
    changed = bytearray(payload)
    changed[place % len(changed)] ^= change
    signature = KEY.sign(Domain.UPDATE, payload)
    assert code_of(KEY.public, Domain.UPDATE, bytes(changed), signature) == TrustCode.BAD_SIGNATURE


def test_a_signature_for_one_purpose_is_worth_nothing_for_another() -> None:
    signature = KEY.sign(Domain.UPDATE, b"x")
    others = [domain for domain in Domain if domain is not Domain.UPDATE]
    assert {code_of(KEY.public, domain, b"x", signature) for domain in others} == {TrustCode.BAD_SIGNATURE}


def test_another_key_is_named_as_such_and_a_borrowed_key_id_does_not_help() -> None:
    other = IdentityKey.generate().sign(Domain.TASK, b"x")
    assert code_of(KEY.public, Domain.TASK, b"x", other) == TrustCode.WRONG_KEY
    borrowed = Signature(key=KEY.public.fingerprint, value=other.value)
    assert code_of(KEY.public, Domain.TASK, b"x", borrowed) == TrustCode.BAD_SIGNATURE


def test_signed_bytes_are_fixed_for_good() -> None:
    """Another layout would make every stored signature worthless."""
    digest = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert signed_bytes(Domain.PLAN, b"") == b"fedmets-signature-v1\0plan\0" + digest


def test_private_parts_show_in_no_repr() -> None:
    raw = KEY.key.private_bytes_raw()
    for text in (repr(KEY), str(KEY)):
        assert raw.hex() not in text
        assert base64.b64encode(raw).decode() not in text
        assert "PrivateKey" not in text


@pytest.mark.parametrize("text", ["", "AAAA", "not base64 at all!", "A" * 64])
def test_public_keys_of_another_length_are_refused(text: str) -> None:
    with pytest.raises(TrustError, match="not an Ed25519 public key of 32 bytes"):
        PublicIdentity.from_text(text)


def test_another_kind_of_key_file_is_refused(tmp_path: Path) -> None:
    save_key(tmp_path / "identity.key", ec.generate_private_key(ec.SECP384R1()), None)
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        IdentityKey.load(tmp_path / "identity.key", None)
