"""New server keys: sites follow without a new enrolment, and follow nobody else."""

from pathlib import Path

import pytest

from client.server_trust import follow_published, open_site
from common.certificates import Holder, Role
from common.errors import EnrollmentError, TrustCode, TrustError
from common.identity import Domain, IdentityKey
from common.rotation import Rotation, Rotations, sign_rotation
from common.sealed import Passphrase
from server.authority import create_issuer, issue
from server.provisioning import init_federation
from server.rotation import published_rotations, rotate_server
from tests.trust import DAY_0, HOSTS, Lab, day, hashes, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = make_lab(tmp_path)
    lab.add("north")
    return lab


def accepts(lab: Lab, identity: IdentityKey, now: float) -> TrustCode | None:
    """What the site says of a task signed by this identity."""
    try:
        signature = identity.sign(Domain.TASK, b"task")
        open_site(lab.site("north")).verify_aggregator(Domain.TASK, b"task", signature, day(now))
    except TrustError as error:
        return error.code
    return None


def follow(lab: Lab, *rotations: Rotation) -> int:
    return follow_published(lab.site("north"), Rotations(rotations=rotations), day(5)).generation


def test_a_site_follows_one_rotation_or_many_at_once(lab: Lab) -> None:
    old, site = lab.server.identity(None), hashes(lab.site("north").path)
    rotate_server(lab.server, day(1))
    assert hashes(lab.site("north").path) == site
    assert accepts(lab, old, 1) is None
    assert accepts(lab, lab.server.identity(None), 1) == TrustCode.WRONG_KEY
    rotate_server(lab.server, day(2))
    rotate_server(lab.server, day(3))
    assert follow(lab, *published_rotations(lab.server).rotations) == 4
    assert accepts(lab, lab.server.identity(None), 5) is None
    assert accepts(lab, old, 5) == TrustCode.WRONG_KEY
    rotate_server(lab.server, day(4))
    assert follow(lab, *published_rotations(lab.server).rotations) == 5
    assert accepts(lab, lab.server.identity(None), 5) is None


def test_nobody_leads_a_site_back(lab: Lab) -> None:
    first = rotate_server(lab.server, day(1))
    second = rotate_server(lab.server, day(2))
    assert follow(lab, second, first) == 3
    before = hashes(lab.site("north").path)
    assert follow(lab, first) == 3
    assert hashes(lab.site("north").path) == before


def forged_by_stranger(lab: Lab) -> Rotation:
    """Certified by the authority, but not signed with the identity that the site believes."""
    stranger = IdentityKey.generate()
    holder = Holder("BMFED", Role.AGGREGATOR, "BMFED")
    certificate = issue(lab.server.issuer(None), holder, stranger.key.public_key(), day(1))
    return sign_rotation("BMFED", 2, certificate, stranger, day(1))


def forged_by_stolen_identity(lab: Lab) -> Rotation:
    """Signed with the believed identity, but certified by an authority of the thief's own."""
    holder = Holder("BMFED", Role.AGGREGATOR, "BMFED")
    certificate = issue(create_issuer("BMFED", DAY_0), holder, IdentityKey.generate().key.public_key(), day(1))
    return sign_rotation("BMFED", 2, certificate, lab.server.identity(None), day(1))


def site_as_aggregator(lab: Lab) -> Rotation:
    """A certificate of the authority, but a site's."""
    certificate = lab.server.registry.get("north").current.certificates()[0]
    return sign_rotation("BMFED", 2, certificate, lab.server.identity(None), day(1))


def with_a_gap(lab: Lab) -> Rotation:
    rotate_server(lab.server, day(1))
    return rotate_server(lab.server, day(2))


def other_federation(lab: Lab) -> Rotation:
    return rotate_server(make_lab(lab.root / "other", "OTHER").server, day(1))


def moved_date(lab: Lab) -> Rotation:
    genuine = rotate_server(lab.server, day(1))
    return genuine.model_copy(update={"body": genuine.body.model_copy(update={"rotated_at": day(2)})})


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (forged_by_stranger, TrustCode.WRONG_KEY),
        (forged_by_stolen_identity, TrustCode.WRONG_AUTHORITY),
        (site_as_aggregator, TrustCode.WRONG_NAME),
        (with_a_gap, TrustCode.BROKEN_ROTATION),
        (other_federation, TrustCode.BROKEN_ROTATION),
        (moved_date, TrustCode.BAD_SIGNATURE),
    ],
)
def test_a_forged_rotation_changes_nothing(lab: Lab, forge: object, code: TrustCode) -> None:
    assert callable(forge)
    identity, rotation = lab.server.identity(None), forge(lab)
    before = hashes(lab.site("north").path)
    with pytest.raises(TrustError) as refused:
        follow(lab, rotation)
    assert refused.value.code == code
    assert hashes(lab.site("north").path) == before
    assert accepts(lab, identity, 1) is None


def test_old_private_keys_are_deleted_and_old_certificates_revoked(lab: Lab) -> None:
    old = lab.server.server_keys()
    issued = dict(zip((Role.AGGREGATOR, Role.GATEWAY, Role.LOOPBACK), old.issued(), strict=True))
    rotate_server(lab.server, day(1), more_hosts=("10.0.0.9",))
    assert list(old.folder.glob("*.key")) == []
    for role, certificate in issued.items():
        with pytest.raises(TrustError) as refused:
            lab.server.authority().check(certificate, Holder("BMFED", role, "BMFED"), day(2))
        assert refused.value.code == TrustCode.REVOKED
    assert lab.server.federation.hosts == (*HOSTS, "10.0.0.9")
    with pytest.raises(EnrollmentError, match="--host or --dial 'no host': a host is a name of"):
        rotate_server(lab.server, day(2), more_hosts=("no host",))
    assert lab.server.server_keys().generation == 2


def test_superlinks_certificate_outlives_the_gateways_by_years(lab: Lab) -> None:
    identity, gateway, loopback = lab.server.server_keys().issued()
    assert (loopback.not_valid_after_utc - gateway.not_valid_after_utc).days == 4 * 365
    assert loopback.not_valid_after_utc == identity.not_valid_after_utc


def test_a_folder_from_before_superlink_had_its_own_keys_serves_with_the_gateways(lab: Lab) -> None:
    keys = lab.server.server_keys()
    for path in keys.loopback:
        path.unlink()
    assert keys.loopback == (keys.tls_certificate, keys.tls_key)
    assert keys.issued() == keys.certificates()
    rotate_server(lab.server, day(1))
    assert [path.name for path in lab.server.server_keys().loopback] == ["loopback.crt", "loopback.key"]


def test_sites_learn_from_their_next_kit_that_the_gateway_has_moved(lab: Lab) -> None:
    lab.add("south")
    rotate_server(lab.server, day(1), dial="moved.example.org")
    assert lab.server.federation.hosts == ("moved.example.org", *HOSTS)
    lab.renew("north", day(2))
    addresses = [lab.site(site).joined().kit().body.hosts[0] for site in ("north", "south")]
    assert addresses == ["moved.example.org", HOSTS[0]]
    rotate_server(lab.server, day(3), dial=HOSTS[0])
    assert lab.server.federation.hosts[:2] == (HOSTS[0], "moved.example.org")


def test_a_renewal_kit_carries_the_rotations_that_were_missed(lab: Lab) -> None:
    rotate_server(lab.server, day(1))
    rotate_server(lab.server, day(2))
    lab.renew("north", day(3))
    assert accepts(lab, lab.server.identity(None), 3) is None
    rotate_server(lab.server, day(4))
    assert follow(lab, *published_rotations(lab.server).rotations) == 4


def test_a_crash_while_rotating_leaves_the_old_keys_in_use(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("common.generations.commit_folder", crash)
        rotate_server(lab.server, day(1))
    assert accepts(lab, lab.server.identity(None), 1) is None
    assert rotate_server(lab.server, day(1)).body.generation == 2


def test_a_sealed_identity_stays_sealed(tmp_path: Path) -> None:
    secret = Passphrase(b"correct horse")
    server = init_federation(tmp_path / "fed", "BMFED", HOSTS, 8443, DAY_0, secret)
    rotate_server(server, day(1), secret)
    assert b"scrypt" in server.server_keys().identity_key.read_bytes()
    assert server.identity(secret).public.fingerprint
