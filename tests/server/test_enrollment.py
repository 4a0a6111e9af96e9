"""Enrolling and renewing: who gets a kit, and that nobody else notices."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from client.requesting import request_enrollment, request_renewal
from client.site_folder import SiteFolder
from common.audit import verify_audit
from common.errors import EnrollmentError, FedmetsError, TrustCode, TrustError
from common.identity import Domain, IdentityKey
from common.joining import RequestBody, sign_request
from common.lock import exclusive
from common.node_key import NodeKey
from server.enrollment import enroll_site
from server.registry import Status
from server.site_trust import node_keys, verify_site
from server.standing import set_standing
from tests.trust import DAY_0, Lab, day, hashes, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def sign(lab: Lab, name: str, payload: bytes = b"update") -> Any:
    return lab.site(name).joined().identity(None).sign(Domain.UPDATE, payload)


def test_enrolling_one_changes_nothing_for_the_others(lab: Lab) -> None:
    lab.add("north")
    lab.request("south")
    server, north = hashes(lab.server.path), hashes(lab.site("north").path)
    lab.enroll("south")
    lab.join("south")
    after = hashes(lab.server.path)
    assert hashes(lab.site("north").path) == north
    assert {path for path in after if server.get(path) != after[path]} == {"sites/south.json", "audit.jsonl"}
    assert verify_audit(lab.server.path / "audit.jsonl") == 3


def private_forms(folder: Path) -> list[bytes]:
    """Every private key below a folder, in all forms in which it could slip into a document."""
    keys = [
        path for path in folder.rglob("*") if path.name in {"identity.key", "tls.key", "authority.key", "node"}
    ]
    assert keys
    forms = []
    for path in keys:
        text = path.read_bytes()
        forms += [text, b"".join(text.split(b"\n")[1:-2]), text.replace(b"\n", b"\\n")]
    identities = [IdentityKey.load(path, None) for path in keys if path.name == "identity.key"]
    for identity in identities:
        raw = identity.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        forms += [raw, raw.hex().encode(), base64.b64encode(raw)]
    return forms


def test_no_private_key_is_in_request_kit_registry_or_log(lab: Lab) -> None:
    lab.add("north")
    public = [lab.site("north").request_file, lab.kit_file("north"), lab.server.path / "sites" / "north.json"]
    public += [lab.server.path / "audit.jsonl", lab.site("north").path / "audit.jsonl"]
    content = b"".join(path.read_bytes() for path in public)
    assert b"PRIVATE" not in content
    for form in private_forms(lab.root):
        assert form not in content


def flip_proof(document: Any) -> None:
    other = IdentityKey.generate().sign(Domain.REQUEST, b"x")
    document["identity_proof"]["value"] = other.value


def claim_other_key(document: Any) -> None:
    document["body"]["identity_key"] = IdentityKey.generate().public.text


def claim_other_node(document: Any) -> None:
    document["node_proof"] = base64.b64encode(b"0" * 100).decode()


def change_name(document: Any) -> None:
    document["body"]["site"] = "north"


@pytest.mark.parametrize("change", [flip_proof, claim_other_key, claim_other_node, change_name])
def test_a_request_without_possession_is_refused_and_nothing_is_written(
    lab: Lab, change: Callable[[Any], None]
) -> None:
    edit(lab.request("south"), change)
    before = hashes(lab.server.path)
    with pytest.raises(TrustError) as refused:
        lab.enroll("south")
    assert refused.value.code in {TrustCode.BAD_SIGNATURE, TrustCode.WRONG_KEY}
    assert hashes(lab.server.path) == before
    assert not lab.kit_file("south").exists()


@pytest.mark.parametrize("name", ["", "..", "../north", "a b", "-a", "a" * 65, "north\n", "sü"])
def test_names_are_checked_at_both_ends(lab: Lab, name: str) -> None:
    with pytest.raises(EnrollmentError, match="a site's name has up to 64"):
        request_enrollment(SiteFolder(lab.root / "new"), name, DAY_0)
    assert not (lab.root / "new").exists()
    edit(lab.request("south"), lambda document: document["body"].update(site=name))
    with pytest.raises(EnrollmentError, match=r"'body\.site'"):
        lab.enroll("south")


def test_a_name_in_use_is_refused_also_in_other_capitals(lab: Lab) -> None:
    lab.add("north")
    request_enrollment(SiteFolder(lab.root / "other"), "north", DAY_0)
    with pytest.raises(EnrollmentError, match="'north' is enrolled already, with other keys, and active"):
        enroll_site(lab.server, lab.root / "other" / "request.json", lab.root / "kit", DAY_0)
    request_enrollment(SiteFolder(lab.root / "third"), "North", DAY_0)
    with pytest.raises(EnrollmentError, match="in capitals only"):
        enroll_site(lab.server, lab.root / "third" / "request.json", lab.root / "kit", DAY_0)


def test_a_removed_site_comes_back_with_new_keys_only(lab: Lab) -> None:
    lab.add("north")
    old = sign(lab, "north")
    set_standing(lab.server, "north", Status.REMOVED, day(1))
    with pytest.raises(EnrollmentError, match="brings a key that site 'north' was enrolled with"):
        lab.enroll("north", day(2))
    fresh = Lab(lab.root / "again", lab.server)
    fresh.root.mkdir()
    fresh.add("north", day(2))
    verify_site(lab.server, "north", Domain.UPDATE, b"update", sign(fresh, "north"), day(2))
    with pytest.raises(TrustError) as refused:
        verify_site(lab.server, "north", Domain.UPDATE, b"update", old, day(2))
    assert refused.value.code == TrustCode.WRONG_KEY


def test_the_same_request_again_gives_the_same_certificates(lab: Lab) -> None:
    lab.request("north")
    first = lab.enroll("north")
    entry = (lab.server.path / "sites" / "north.json").read_bytes()
    second = lab.enroll("north", day(3))
    assert (first.outcome, second.outcome) == ("enrolled", "kit-issued-again")
    assert (lab.server.path / "sites" / "north.json").read_bytes() == entry
    assert second.kit.body.site_certificate == first.kit.body.site_certificate
    lab.join("north", day(3))


def test_a_suspended_site_that_lost_its_kit_is_to_be_reinstated_first(lab: Lab) -> None:
    first = lab.add("south").joined().kit().body.site_certificate
    set_standing(lab.server, "south", Status.SUSPENDED, day(1))
    with pytest.raises(EnrollmentError) as refused:
        lab.enroll("south", day(2))
    assert str(refused.value) == (
        "site 'south' is suspended since 2030-01-02 12:00 UTC and gets no kit; run fedmets-server reinstate "
        f"{lab.server.path} south, then enroll again"
    )
    set_standing(lab.server, "south", Status.ACTIVE, day(2))
    again = lab.enroll("south", day(2))
    assert (again.outcome, again.kit.body.site_certificate) == ("kit-issued-again", first)


def test_the_telephoned_fingerprint_of_the_request_is_held_against_it(lab: Lab) -> None:
    made = request_enrollment(lab.site("north"), "north", DAY_0)
    with pytest.raises(TrustError, match="wrong-fingerprint"):
        enroll_site(lab.server, made.file, lab.kit_file("north"), DAY_0, fingerprint="0" * 64)
    done = enroll_site(lab.server, made.file, lab.kit_file("north"), DAY_0, fingerprint=made.fingerprint)
    assert done.fingerprint == made.fingerprint


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[" * 10_000, b" " * 1_000_001])
def test_what_is_no_request_is_one_line(lab: Lab, content: bytes) -> None:
    path = lab.root / "request.json"
    path.write_bytes(content)
    with pytest.raises(EnrollmentError, match=r"request\.json: (not|over)"):
        enroll_site(lab.server, path, lab.root / "kit", DAY_0)


def test_renewal_takes_both_pairs_for_a_week_and_then_the_new_one(lab: Lab) -> None:
    lab.add("north")
    old = sign(lab, "north")
    request_renewal(lab.site("north"), day(10))
    assert lab.enroll("north", day(10)).outcome == "renewed"
    verify_site(lab.server, "north", Domain.UPDATE, b"update", sign(lab, "north"), day(10))  # kit not joined yet
    assert len(node_keys(lab.server, day(10))["north"]) == 2
    lab.join("north", day(11))
    new = sign(lab, "north")
    assert new.key != old.key
    for signature in (old, new):
        verify_site(lab.server, "north", Domain.UPDATE, b"update", signature, day(16.9))
    verify_site(lab.server, "north", Domain.UPDATE, b"update", new, day(17))
    with pytest.raises(TrustError) as refused:
        verify_site(lab.server, "north", Domain.UPDATE, b"update", old, day(17))
    assert refused.value.code == TrustCode.WRONG_KEY
    assert len(node_keys(lab.server, day(17))["north"]) == 1


def no_old_signature(document: Any) -> None:
    document["previous_proof"] = None


def stranger_signs(document: Any) -> None:
    signature = IdentityKey.generate().sign(Domain.RENEWAL, b"x")
    document["previous_proof"] = json.loads(signature.to_json())


@pytest.mark.parametrize(
    ("change", "code"), [(no_old_signature, TrustCode.BAD_SIGNATURE), (stranger_signs, TrustCode.WRONG_KEY)]
)
def test_a_renewal_that_the_old_identity_did_not_sign_is_refused(
    lab: Lab, change: Callable[[Any], None], code: TrustCode
) -> None:
    lab.add("north")
    request_renewal(lab.site("north"), day(1))
    edit(lab.site("north").request_file, change)
    before = hashes(lab.server.path)
    with pytest.raises(TrustError) as refused:
        lab.enroll("north", day(1))
    assert refused.value.code == code
    assert hashes(lab.server.path) == before


def test_a_renewal_for_another_federation_is_refused_whoever_signed_it(lab: Lab) -> None:
    folder = lab.add("north")
    request_renewal(folder, day(1))
    pending = folder.pending()
    assert pending is not None
    asked = pending.request().body
    assert asked.renewal is not None
    elsewhere = asked.renewal.model_copy(update={"authority": "0" * 64})
    body = asked.model_copy(update={"renewal": elsewhere})
    request = sign_request(body, pending.identity(None), pending.node(), folder.joined().identity(None))
    folder.request_file.write_text(request.to_json())
    with pytest.raises(TrustError) as refused:
        lab.enroll("north", day(1))
    assert refused.value.code == TrustCode.WRONG_AUTHORITY


@pytest.mark.parametrize("borrowed", ["identity", "node"])
def test_a_key_enrolled_under_one_name_is_refused_under_another(lab: Lab, borrowed: str) -> None:
    keys = lab.add("north").joined()
    identity = keys.identity(None) if borrowed == "identity" else IdentityKey.generate()
    node = keys.node() if borrowed == "node" else NodeKey.generate()
    body = RequestBody(site="south", identity_key=identity.public.text, node_key=node.public.line, made_at=DAY_0)
    path = lab.root / "request.json"
    path.write_text(sign_request(body, identity, node).to_json())
    with pytest.raises(EnrollmentError, match="brings a key that site 'north' was enrolled with"):
        enroll_site(lab.server, path, lab.root / "kit", DAY_0)


def test_suspended_removed_unknown_and_expired_sites_renew_nothing(lab: Lab) -> None:
    lab.add("north")
    request_renewal(lab.site("north"), day(1))
    set_standing(lab.server, "north", Status.SUSPENDED, day(1))
    with pytest.raises(EnrollmentError, match="is suspended; only an active site renews"):
        lab.enroll("north", day(1))
    set_standing(lab.server, "north", Status.ACTIVE, day(1))
    with pytest.raises(TrustError, match="expired"):
        lab.enroll("north", day(731))
    other = make_lab(lab.root / "other")
    with pytest.raises(FedmetsError, match="no site 'north' is enrolled here to be renewed"):
        enroll_site(other.server, lab.site("north").request_file, lab.root / "kit", day(1))


def test_one_command_at_a_time(lab: Lab) -> None:
    lab.request("north")
    with exclusive(lab.server.path), pytest.raises(EnrollmentError, match="another fedmets command is at work"):
        lab.enroll("north")
