import json
from pathlib import Path

import pytest

from client.requesting import request_renewal
from client.trust_checks import check_trust
from common.expiry import Finding, worst
from server.registry import Status
from server.standing import set_standing
from server.trust_status import trust_status
from tests.trust import Lab, day, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = make_lab(tmp_path)
    lab.add("north")
    return lab


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings if finding.level != "ok"}


def test_a_fresh_site_has_nothing_to_say(lab: Lab) -> None:
    findings = check_trust(lab.site("north"), day(0))
    assert worst(findings) == "ok"
    assert len(findings) == 6


@pytest.mark.parametrize(("now", "level"), [(699, "ok"), (700, "warn"), (731, "fail")])
def test_a_site_hears_of_its_certificates_in_time(lab: Lab, now: float, level: str) -> None:
    findings = check_trust(lab.site("north"), day(now))
    assert worst(findings) == level
    if level != "ok":
        assert levels(findings) == {"site identity certificate": level, "node certificate": level}
        advice = (
            "run: fedmets-site renew" if level == "warn" else "too late to renew: ask the consortium to remove"
        )
        assert sum(advice in finding.advice for finding in findings) == 2


def test_the_consortium_hears_of_all_certificates_in_time(lab: Lab) -> None:
    assert trust_status(lab.server, day(1)).level == "ok"
    assert levels(trust_status(lab.server, day(340)).findings) == {"server TLS certificate": "warn"}
    late = trust_status(lab.server, day(731))
    assert levels(late.findings) == {"server TLS certificate": "fail", "certificates of site north": "fail"}
    (north,) = [finding for finding in late.findings if finding.what == "certificates of site north"]
    assert north.advice == "remove north and ask it to run fedmets-site request in another folder"
    set_standing(lab.server, "north", Status.REMOVED, day(1))
    assert "certificates of site north" not in levels(trust_status(lab.server, day(731)).findings)
    assert trust_status(lab.server, day(1)).sites == {"north": "removed"}


def test_wide_swapped_and_missing_keys_are_found(lab: Lab) -> None:
    keys = lab.site("north").joined()
    keys.node_key.chmod(0o644)
    (first, *_) = check_trust(lab.site("north"), day(0))
    assert (first.level, "chmod 600" in first.finding) == ("fail", True)
    keys.node_key.chmod(0o600)
    other = lab.add("south").joined()
    keys.identity_key.write_bytes(other.identity_key.read_bytes())
    assert "is not the key that this site asked with" in check_trust(lab.site("north"), day(0))[0].finding
    own = keys.node_key.read_bytes()
    keys.node_key.write_bytes(other.node_key.read_bytes())
    assert f"{keys.node_key}: is not the key" in check_trust(lab.site("north"), day(0))[0].finding
    keys.node_key.write_bytes(own)
    keys.identity_key.unlink()
    assert check_trust(lab.site("north"), day(0))[0].level == "fail"


def test_a_damaged_kit_is_found(lab: Lab) -> None:
    file = lab.site("north").joined().kit_file
    kit = json.loads(file.read_text())
    kit["body"]["port"] = 1
    file.write_text(json.dumps(kit))
    assert levels(check_trust(lab.site("north"), day(0))) == {"federation": "fail"}
    file.write_text("{}")
    assert levels(check_trust(lab.site("north"), day(0))) == {"federation": "fail"}


def test_a_pending_renewal_and_an_unlisted_revocation_are_said(lab: Lab) -> None:
    request_renewal(lab.site("north"), day(1))
    assert levels(check_trust(lab.site("north"), day(1))) == {"renewal": "warn"}
    lab.enroll("north", day(1))
    lab.join("north", day(1))
    assert levels(check_trust(lab.site("north"), day(1))) == {}
    assert levels(trust_status(lab.server, day(9)).findings) == {"revocation list": "warn"}
