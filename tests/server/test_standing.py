"""Suspended and removed sites: refused by registry and revocation list alike, and nobody else touched."""

import shutil
import subprocess
from pathlib import Path

import pytest

from common.certificates import Holder, Role
from common.errors import EnrollmentError, TrustCode, TrustError
from common.identity import Domain, Signature
from server.registry import Status
from server.site_trust import node_keys, verify_site
from server.standing import set_standing, unlisted_revocations
from tests.trust import DAY_0, Lab, day, hashes, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = make_lab(tmp_path)
    lab.add("north")
    lab.add("south")
    return lab


def sign(lab: Lab, name: str, domain: Domain = Domain.UPDATE) -> Signature:
    return lab.site(name).joined().identity(None).sign(domain, b"payload")


def code(
    lab: Lab, name: str, signature: Signature, now: float = 1, payload: bytes = b"payload"
) -> TrustCode | None:
    try:
        verify_site(lab.server, name, Domain.UPDATE, payload, signature, day(now))
    except TrustError as error:
        return error.code
    return None


def test_only_a_sites_own_valid_signature_is_taken(lab: Lab) -> None:
    north = sign(lab, "north")
    assert code(lab, "north", north) is None
    assert code(lab, "south", north) == TrustCode.WRONG_KEY
    assert code(lab, "north", north, payload=b"other") == TrustCode.BAD_SIGNATURE
    assert code(lab, "north", sign(lab, "north", Domain.TASK)) == TrustCode.BAD_SIGNATURE
    assert code(lab, "west", north) == TrustCode.UNKNOWN_SITE
    assert code(lab, "../sites/north", north) == TrustCode.UNKNOWN_SITE
    assert code(lab, "x" * 5000, north) == TrustCode.UNKNOWN_SITE
    assert code(lab, "north", north, now=731) == TrustCode.EXPIRED
    assert code(lab, "north", north, now=-1) == TrustCode.NOT_YET_VALID


@pytest.mark.parametrize("status", [Status.SUSPENDED, Status.REMOVED])
def test_refused_from_the_next_message_on_and_nothing_changes_for_the_others(lab: Lab, status: Status) -> None:
    server = hashes(lab.server.path)
    sites = {name: hashes(lab.site(name).path) for name in ("north", "south")}
    set_standing(lab.server, "north", status, day(1))
    assert code(lab, "north", sign(lab, "north")) == TrustCode(str(status))
    assert code(lab, "south", sign(lab, "south")) is None
    after = hashes(lab.server.path)
    changed = {path for path in after if server.get(path) != after[path]}
    assert changed == {"sites/north.json", "authority/authority.crl", "audit.jsonl"}
    assert {name: hashes(lab.site(name).path) for name in sites} == sites
    assert list(node_keys(lab.server, day(1))) == ["south"]


def test_certificates_are_revoked_even_for_who_reads_the_list_alone(lab: Lab) -> None:
    entry = lab.server.registry.get("north")
    set_standing(lab.server, "north", Status.REMOVED, day(1))
    authority = lab.server.authority()
    for certificate, role in zip(entry.current.certificates(), (Role.SITE, Role.NODE), strict=True):
        with pytest.raises(TrustError) as refused:
            authority.check(certificate, Holder("BMFED", role, "north"), day(1))
        assert refused.value.code == TrustCode.REVOKED
        assert "2030-01-02 12:00 UTC" in str(refused.value)
    south = lab.server.registry.get("south").current.certificates()[1]
    authority.check(south, Holder("BMFED", Role.NODE, "south"), day(1))


def test_openssl_agrees_on_the_list(lab: Lab) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    set_standing(lab.server, "north", Status.REMOVED, day(1))
    folder = lab.server.path / "authority"
    crl = ["crl", "-in", folder / "authority.crl", "-CAfile", folder / "authority.crt", "-noout", "-text"]
    listed = subprocess.run([program, *map(str, crl)], check=True, capture_output=True, text=True)
    assert "verify OK" in listed.stderr
    assert listed.stdout.count("Cessation Of Operation") == 2
    for name, answer in (("north", "certificate revoked"), ("south", "OK")):
        for certificate in ("node.crt", "identity.crt"):
            command = [program, "verify", "-crl_check", "-attime", str(int(day(2).timestamp()))]
            command += ["-CAfile", str(folder / "authority.crt"), "-CRLfile", str(folder / "authority.crl")]
            command += [str(lab.site(name).joined().path / certificate)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert answer in done.stdout + done.stderr


def test_a_suspension_is_lifted_and_a_removal_is_not(lab: Lab) -> None:
    set_standing(lab.server, "north", Status.SUSPENDED, day(1))
    set_standing(lab.server, "north", Status.ACTIVE, day(2))
    assert code(lab, "north", sign(lab, "north"), now=2) is None
    assert list(lab.server.authority().revoked or ()) == []
    set_standing(lab.server, "north", Status.REMOVED, day(3))
    for status in Status:
        with pytest.raises(EnrollmentError, match="is removed and cannot be made"):
            set_standing(lab.server, "north", status, day(4))
    with pytest.raises(EnrollmentError, match=r"no site 'west' .* enrolled: north, south"):
        set_standing(lab.server, "west", Status.REMOVED, DAY_0)


def test_cut_off_between_list_and_registry_the_site_is_refused_and_the_command_can_be_repeated(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("server.registry.Registry.write", crash)
        set_standing(lab.server, "north", Status.REMOVED, day(1))
    assert code(lab, "north", sign(lab, "north")) == TrustCode.REVOKED
    set_standing(lab.server, "north", Status.REMOVED, day(1))
    assert code(lab, "north", sign(lab, "north")) == TrustCode.REMOVED


def test_a_forged_revocation_list_is_refused(lab: Lab) -> None:
    other = make_lab(lab.root / "other")
    lab.server.revocation_list.write_bytes(other.server.revocation_list.read_bytes())
    assert code(lab, "north", sign(lab, "north")) == TrustCode.WRONG_AUTHORITY


def test_old_keys_of_a_renewal_reach_the_list_with_its_next_writing(lab: Lab) -> None:
    lab.renew("north", day(1))
    assert unlisted_revocations(lab.server, day(7)) == 0
    assert unlisted_revocations(lab.server, day(8)) == 2
    set_standing(lab.server, "south", Status.SUSPENDED, day(8))
    assert unlisted_revocations(lab.server, day(8)) == 0
