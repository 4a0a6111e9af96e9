"""Preflight of the site's own folder: a password that others may read, a log that was altered."""

from pathlib import Path

import pytest

from client.preflight_folder import check_audit_log, check_password
from client.site_folder import SiteFolder
from tests.trust import make_lab

PASSWORD = "http://user:secret@proxy:3128"


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    return make_lab(tmp_path / "lab").add("north")


@pytest.mark.parametrize(
    ("proxy", "mode", "warned"),
    [
        (PASSWORD, 0o644, True),
        (PASSWORD, 0o640, True),
        (PASSWORD, 0o600, False),
        ("http://user:${PROXY_PASSWORD}@proxy:3128", 0o644, False),
        ("http://proxy:3128", 0o644, False),
        ("http://[proxy", 0o644, False),
    ],
)
def test_a_password_that_others_may_read_is_told_with_the_command_that_closes_the_file(
    tmp_path: Path, proxy: str, mode: int, warned: bool
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f'proxy = "{proxy}"\n')
    path.chmod(mode)
    found = check_password(path)
    assert (found is not None) == warned
    if found is not None:
        assert (found.level, found.what, found.advice) == ("warn", "site.toml", f"run: chmod 600 {path}")
        assert "secret" not in found.line


@pytest.mark.parametrize("text", ["proxy = 7\n", "[", ""])
def test_a_file_that_is_no_site_toml_is_for_others_to_judge(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.toml").write_text(text)
    assert check_password(tmp_path / "site.toml") is None
    assert check_password(tmp_path / "none.toml") is None


def test_a_log_that_holds(site: SiteFolder) -> None:
    found = check_audit_log(site)
    assert (found.level, found.finding) == ("ok", "2 lines, each vouches for the one before it")


def test_an_altered_line_fails_and_it_is_said_what_to_do(site: SiteFolder) -> None:
    site.audit_file.write_bytes(site.audit_file.read_bytes().replace(b"joined", b"loined"))
    found = check_audit_log(site)
    assert (found.level, "line 2" in found.finding) == ("fail", True)
    assert found.advice.endswith(f"mv {site.audit_file} {site.audit_file}.broken")


@pytest.mark.parametrize("torn", [b"{", b'{"seq":2,"time":1.0}'])
def test_a_torn_last_line_is_a_warning_and_stays_as_it_is(site: SiteFolder, torn: bytes) -> None:
    before = site.audit_file.read_bytes() + torn
    site.audit_file.write_bytes(before)
    found = check_audit_log(site)
    assert (found.level, "the 2 before it hold" in found.finding) == ("warn", True)
    assert site.audit_file.read_bytes() == before


def test_a_torn_last_line_does_not_hide_an_altered_one(site: SiteFolder) -> None:
    altered = site.audit_file.read_bytes().replace(b"joined", b"loined") + b"{"
    site.audit_file.write_bytes(altered)
    assert check_audit_log(site).level == "fail"


def test_a_log_that_is_gone_is_missed_once_the_site_has_joined(site: SiteFolder, tmp_path: Path) -> None:
    site.audit_file.unlink()
    assert check_audit_log(site).level == "warn"
    assert check_audit_log(SiteFolder(tmp_path)).level == "ok"
    site.audit_file.mkdir()
    assert check_audit_log(site).level == "fail"
