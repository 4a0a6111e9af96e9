"""Joining: a kit is believed only whole, for these keys, and from the federation that was compared."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.joining import compare_with, join_federation
from client.requesting import request_enrollment, request_renewal
from client.server_trust import open_site
from client.site_folder import SiteFolder
from common.audit import read_audit
from common.certificates import Holder, Role, pem_of
from common.errors import EnrollmentError, KeyFileError, TrustCode, TrustError
from common.identity import Domain, IdentityKey
from common.joining import SiteKit, sign_request
from common.sealed import Passphrase
from server.authority import create_issuer, issue
from server.enrollment import enroll_site
from tests.trust import DAY_0, Lab, day, hashes, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path)


@pytest.fixture
def waiting(lab: Lab) -> Lab:
    """A site whose kit has come and is not joined yet."""
    lab.request("north")
    lab.enroll("north")
    return lab


def refused(lab: Lab, now: float = 0) -> TrustCode:
    """The code with which the kit of `north` is refused, and that nothing was changed by it."""
    before = hashes(lab.site("north").path)
    with pytest.raises(TrustError) as refusal:
        lab.join("north", day(now))
    assert {path: sha for path, sha in hashes(lab.site("north").path).items() if path != ".lock"} == {
        path: sha for path, sha in before.items() if path != ".lock"
    }
    assert lab.site("north").in_use() is None
    return refusal.value.code


def test_the_whole_flow_ends_in_trust_both_ways(lab: Lab) -> None:
    lab.add("north")
    trust = open_site(lab.site("north"))
    assert (trust.kit.federation, trust.kit.address) == ("BMFED", "fed.example.org:8443")
    task = lab.server.identity(None).sign(Domain.TASK, b"task")
    trust.verify_aggregator(Domain.TASK, b"task", task, day(1))
    for domain, payload, code in (
        (Domain.PLAN, b"task", TrustCode.BAD_SIGNATURE),
        (Domain.TASK, b"changed", TrustCode.BAD_SIGNATURE),
    ):
        with pytest.raises(TrustError) as refusal:
            trust.verify_aggregator(domain, payload, task, day(1))
        assert refusal.value.code == code
    with pytest.raises(TrustError) as refusal:
        trust.verify_aggregator(Domain.TASK, b"task", IdentityKey.generate().sign(Domain.TASK, b"task"), day(1))
    assert refusal.value.code == TrustCode.WRONG_KEY
    with pytest.raises(TrustError) as refusal:
        trust.verify_aggregator(Domain.TASK, b"task", task, day(1826))
    assert refusal.value.code == TrustCode.EXPIRED
    assert [record.event for record in read_audit(lab.site("north").path / "audit.jsonl")] == [
        "keys-made",
        "joined",
    ]


def shift_a_certificate(document: Any) -> None:
    document["body"]["site_certificate"] = document["body"]["node_certificate"]


def change_address(document: Any) -> None:
    document["body"]["hosts"] = ["evil.example.org"]


def change_port(document: Any) -> None:
    document["body"]["port"] = 443


def swap_authority(document: Any) -> None:
    document["body"]["authority"] = pem_of(create_issuer("BMFED", DAY_0).certificate)


def leaf_as_authority(document: Any) -> None:
    document["body"]["authority"] = document["body"]["aggregator"]


def sign_with_another(document: Any) -> None:
    body = SiteKit.from_json(json.dumps(document)).body
    signature = IdentityKey.generate().sign(Domain.KIT, body.to_json().encode())
    document["signature"] = json.loads(signature.to_json())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (shift_a_certificate, TrustCode.BAD_SIGNATURE),
        (change_address, TrustCode.BAD_SIGNATURE),
        (change_port, TrustCode.BAD_SIGNATURE),
        (swap_authority, TrustCode.WRONG_AUTHORITY),
        (leaf_as_authority, TrustCode.WRONG_AUTHORITY),
        (sign_with_another, TrustCode.WRONG_KEY),
    ],
)
def test_a_tampered_kit_is_refused(waiting: Lab, change: Callable[[Any], None], code: TrustCode) -> None:
    kit = waiting.kit_file("north")
    document = json.loads(kit.read_text())
    change(document)
    kit.write_text(json.dumps(document))
    assert refused(waiting) == code


def test_any_changed_character_of_a_kit_is_refused(waiting: Lab) -> None:
    kit = waiting.kit_file("north")
    text = kit.read_text().strip()
    for place in range(0, len(text), 97):
        kit.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])
        with pytest.raises((TrustError, EnrollmentError)):
            waiting.join("north")
        assert waiting.site("north").in_use() is None
    kit.write_text(text)
    waiting.join("north")


def test_a_kit_for_another_site_is_refused(waiting: Lab) -> None:
    waiting.request("south")
    waiting.enroll("south")
    waiting.kit_file("north").write_bytes(waiting.kit_file("south").read_bytes())
    assert refused(waiting) == TrustCode.WRONG_NAME


def test_a_kit_for_the_same_name_but_other_keys_is_refused(waiting: Lab) -> None:
    other = make_lab(waiting.root / "other")
    other.request("north")
    other.enroll("north")
    waiting.kit_file("north").write_bytes(other.kit_file("north").read_bytes())
    assert refused(waiting) == TrustCode.WRONG_KEY


def test_a_kit_of_a_federation_in_between_fails_by_its_fingerprint_alone(lab: Lab) -> None:
    """Someone intercepts the request and answers with a flawless kit of his own."""
    thief = make_lab(lab.root / "thief")
    lab.request("north")
    kit = Lab(lab.root, thief.server).enroll("north").kit
    assert kit.body.federation == "BMFED"
    assert refused(lab) == TrustCode.WRONG_FINGERPRINT


@pytest.mark.parametrize(("now", "code"), [(731, TrustCode.EXPIRED), (-1, TrustCode.NOT_YET_VALID)])
def test_dates_count(waiting: Lab, now: float, code: TrustCode) -> None:
    assert refused(waiting, now) == code


def test_what_stands_in_the_way_is_said(lab: Lab) -> None:
    missing = SiteFolder(lab.root / "nowhere")
    with pytest.raises(EnrollmentError, match="run fedmets-site request"):
        join_federation(missing, lab.kit_file("north"), compare_with(lab.fingerprint), DAY_0)
    with pytest.raises(EnrollmentError, match="has not joined a federation; run fedmets-site request"):
        open_site(missing)
    lab.request("north")
    with pytest.raises(EnrollmentError, match=r"north\.kit: cannot read a site's kit"):
        lab.join("north")
    lab.enroll("north")
    lab.join("north")
    with pytest.raises(EnrollmentError, match="no request waits for a kit"):
        lab.join("north")
    with pytest.raises(EnrollmentError, match=r"has joined 'BMFED' already; .* fedmets-site renew"):
        lab.request("north")


def test_asking_again_keeps_the_keys(lab: Lab) -> None:
    first = request_enrollment(lab.site("north"), "north", DAY_0)
    first.file.unlink()
    again = request_enrollment(lab.site("north"), "north", day(1))
    assert (again.fingerprint, again.new_keys) == (first.fingerprint, False)
    with pytest.raises(EnrollmentError, match="a request of 'north' waits here"):
        request_enrollment(lab.site("north"), "south", day(1))


@pytest.mark.parametrize("key", ["identity.key", "node"])
def test_a_wide_key_file_is_refused_at_every_opening(lab: Lab, key: str) -> None:
    path = lab.add("north").joined().path / key
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match=f"mode 0640 .* chmod 600 {path}"):
        open_site(lab.site("north"))
    path.chmod(0o600)
    open_site(lab.site("north"))


def test_a_site_with_a_passphrase(lab: Lab) -> None:
    secret = Passphrase(b"correct horse")
    request_enrollment(lab.site("north"), "north", DAY_0, secret)
    lab.enroll("north")
    lab.join("north")
    with pytest.raises(KeyFileError, match="locked by a passphrase"):
        open_site(lab.site("north"))
    with pytest.raises(KeyFileError, match="locked by a passphrase"):
        request_renewal(lab.site("north"), day(1))
    assert open_site(lab.site("north"), secret).kit.site == "north"


def test_renewal_swaps_the_keys_when_its_kit_is_joined_and_not_before(lab: Lab) -> None:
    folder = lab.add("north")
    first = folder.joined()
    made = request_renewal(folder, day(1))
    assert request_renewal(folder, day(2)).fingerprint == made.fingerprint
    assert folder.joined() == first
    lab.enroll("north", day(2))
    assert lab.join("north", day(2)).renewed
    second = folder.joined()
    assert second != first
    assert not first.identity_key.exists()
    assert not first.node_key.exists()
    assert open_site(folder).identity.public.text == second.request().body.identity_key


def test_a_fingerprint_that_is_given_is_compared_at_a_renewal_too(lab: Lab) -> None:
    folder = lab.add("north")
    first = folder.joined()
    request_renewal(folder, day(1))
    lab.enroll("north", day(1))
    with pytest.raises(TrustError) as refusal:
        join_federation(folder, lab.kit_file("north"), compare_with("0" * 64), day(1))
    assert refusal.value.code == TrustCode.WRONG_FINGERPRINT
    assert (folder.joined(), first.identity_key.exists()) == (first, True)
    assert lab.join("north", day(1)).renewed


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_folder_is_made_for_its_owner_alone_and_one_that_is_there_is_left_as_it_is(
    tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        request_enrollment(SiteFolder(tmp_path / "above" / "new"), "north", DAY_0)
        (tmp_path / "there").mkdir()
        (tmp_path / "there").chmod(0o711)
        request_enrollment(SiteFolder(tmp_path / "there"), "north", DAY_0)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("above", "above/new", "there")]
    assert modes == [0o777 & ~umask, 0o700, 0o711]


def test_a_renewal_kit_of_another_authority_is_refused_even_with_a_fitting_fingerprint(lab: Lab) -> None:
    folder = lab.add("north")
    request_renewal(folder, day(1))
    thief = make_lab(lab.root / "thief")
    body = json.loads(folder.request_file.read_text())["body"]
    kit = forge_kit(thief, folder, body["site"])
    lab.kit_file("north").write_text(kit.to_json())
    with pytest.raises(TrustError) as refusal:
        join_federation(folder, lab.kit_file("north"), compare_with(thief.fingerprint), day(1))
    assert refusal.value.code == TrustCode.WRONG_AUTHORITY
    assert folder.pending() is not None


def test_a_renewal_kit_of_an_aggregator_that_no_rotation_leads_to_is_refused(lab: Lab) -> None:
    """What a thief of the authority's key alone can make: a flawless kit, signed by an aggregator of his own."""
    folder = lab.add("north")
    request_renewal(folder, day(1))
    genuine = lab.enroll("north", day(1)).kit.body
    stranger = IdentityKey.generate()
    holder = Holder("BMFED", Role.AGGREGATOR, "BMFED")
    certificate = issue(lab.server.issuer(None), holder, stranger.public.key, day(1))
    body = genuine.model_copy(update={"aggregator": pem_of(certificate)})
    kit = SiteKit(body=body, signature=stranger.sign(Domain.KIT, body.to_json().encode()))
    lab.kit_file("north").write_text(kit.to_json())
    before = folder.joined()
    with pytest.raises(TrustError) as refusal:
        lab.join("north", day(1))
    assert refusal.value.code == TrustCode.BROKEN_ROTATION
    assert folder.joined() == before


def forge_kit(thief: Lab, folder: SiteFolder, name: str) -> SiteKit:
    """A kit that a thief's own federation issues for the pending keys of a site."""
    pending = folder.pending()
    assert pending is not None
    elsewhere = SiteFolder(thief.root / name)
    elsewhere.make()
    request = thief.root / name / "request.json"
    body = pending.request().body.model_copy(update={"renewal": None})
    request.write_text(sign_request(body, pending.identity(None), pending.node()).to_json())
    return enroll_site(thief.server, request, thief.kit_file(name), DAY_0).kit
