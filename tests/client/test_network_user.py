"""Whether another user can run the SuperNode, and what it could read, asked of the kernel."""

import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from client.network_user import NetworkUser, can_start, network_user, readable_by, require_reach
from client.preflight_machine import check_network_user
from common.errors import UserError
from tests.trust import make_lab

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def start(script: str, limit_s: float = 30.0, user: NetworkUser | None = None) -> bool:
    argv = ("/bin/sh", "-c", script)
    return can_start(user or network_user("nobody"), argv, Path("/bin/sh"), {"PATH": "/usr/bin:/bin"}, limit_s)


def test_a_user_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"no user 'nobody-at-all'.*useradd --system nobody-at-all"):
        network_user("nobody-at-all")


def test_only_root_can_start_a_program_as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UserError, match=r"only root can start .*; run this as root, or leave"):
        network_user("nobody")


@needs_root
def test_a_closed_folder_is_named_with_the_command_that_opens_it(open_folder: Path) -> None:
    nobody, site = network_user("nobody"), open_folder / "hospital" / "site"
    site.mkdir(parents=True)
    require_reach(nobody, site)
    site.chmod(0o700)
    with pytest.raises(UserError, match=rf"cannot reach {site}: {site} does not .*; run: chmod o\+x {site}$"):
        require_reach(nobody, site)
    site.parent.chmod(0o700)
    with pytest.raises(UserError, match=rf"run: chmod o\+x {site.parent}$"):  # the outer one first
        require_reach(nobody, site)


@needs_root
def test_what_a_group_may_do_counts(open_folder: Path) -> None:
    """A mode alone would say no: others may not pass, the user's group may."""
    nobody, site = network_user("nobody"), open_folder / "site"
    site.mkdir(mode=0o710)
    site.chmod(0o710)
    with pytest.raises(UserError, match="cannot reach"):
        require_reach(nobody, site)
    os.chown(site, 0, nobody.gid)
    require_reach(nobody, site)


@needs_root
def test_an_interpreter_behind_a_closed_folder_is_found_through_its_link(open_folder: Path) -> None:
    closed, link = open_folder / "home", open_folder / "python"
    closed.mkdir(mode=0o700)
    shutil.copy("/bin/sh", closed / "python")
    link.symlink_to(closed / "python")
    with pytest.raises(UserError, match=f"cannot run {link}: {closed} does not let it through; install Python"):
        can_start(network_user("nobody"), (str(link), "-c", ":"), Path("/bin/sh"), {}, 30.0)
    with pytest.raises(UserError, match=f"{closed} does not let it through"):
        can_start(network_user("nobody"), ("/bin/sh", "-c", ":"), closed / "module.py", {}, 30.0)
    closed.chmod(0o711)
    assert can_start(network_user("nobody"), (str(link), "-c", ":"), Path("/bin/sh"), {}, 30.0)
    (closed / "python").chmod(0o700)
    with pytest.raises(UserError, match=f"cannot run {link}: Permission denied; let every user read Python"):
        can_start(network_user("nobody"), (str(link), "-c", ":"), Path("/bin/sh"), {}, 30.0)


@needs_root
def test_it_is_tried_as_that_user_and_its_last_words_are_told() -> None:
    assert start('test "$(id -un) $(id -Gn) $(pwd)" = "nobody nogroup /"')
    with pytest.raises(UserError, match="cannot run /bin/sh: No module named flwr; let every user read"):
        start("echo Traceback >&2; echo No module named flwr >&2; exit 1")
    with pytest.raises(UserError, match="it ends with code 3"):
        start("exit 3")
    assert not start("sleep 60", limit_s=0.1)


@needs_root
def test_what_it_could_read(open_folder: Path) -> None:
    files = [open_folder / name for name in ("with space", "line\nbreak", "closed", "beyond")]
    for file in files[:3]:
        file.write_text("x")
    files[2].chmod(0o600)
    files[3].symlink_to(files[2])
    assert readable_by(network_user("nobody"), [*files, open_folder / "gone"]) == files[:2]


def test_without_root_we_can_only_be_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    us = NetworkUser("us", os.geteuid(), os.getegid(), ())
    assert us.is_us
    assert start("exit 0", user=us)


@needs_root
class TestCheck:
    """The line of `fedmets-site check`, wherever this interpreter lies."""

    @pytest.fixture(autouse=True)
    def able(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("client.preflight_machine.can_run_as", lambda *_: True)

    @pytest.fixture
    def site(self, open_folder: Path) -> Path:
        site = open_folder / "site"
        (site / "supernode").mkdir(parents=True)
        for file in (site / "supernode" / "node", site / "site.toml", open_folder / "cases" / "p1" / "t1c.nii.gz"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("x")
        return site

    def check(self, site: Path, user: str = "nobody") -> tuple[str, str, str]:
        found = check_network_user(user, site, [site.parent / "cases", site / "cache"], 1.0)
        return found.level, found.finding, found.advice

    def test_it_warns_of_cases_and_then_of_files_that_the_user_could_read(self, site: Path) -> None:
        cases = site.parent / "cases"
        found = (f"nobody can read {cases}/p1/t1c.nii.gz", f"run: chmod o-rwx {cases}")
        assert self.check(site) == ("warn", *found)
        subprocess.run(["/bin/sh", "-c", found[1].removeprefix("run: ")], check=True)
        found = (f"nobody can read {site}/site.toml", f"run: chmod -R go-rwx {site} && chmod o+x {site}")
        assert self.check(site) == ("warn", *found)
        subprocess.run(["/bin/sh", "-c", found[1].removeprefix("run: ")], check=True)
        assert self.check(site)[:2] == (
            "ok",
            "nobody can start the SuperNode, and read no file of the site and no case, of those tried",
        )

    def test_a_machine_too_slow_to_say_is_no_failure(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("client.preflight_machine.can_run_as", lambda *_: False)
        assert self.check(site)[1].startswith("nobody can read")  # which is known all the same
        subprocess.run(["chmod", "-R", "go-rwx", site.parent / "cases", site], check=True)
        level, found, advice = self.check(site)
        assert (level, advice) == ("warn", "a disk or the machine is busy: run this check again")
        assert found == "not known within 1 s whether nobody can start the SuperNode"

    def test_our_own_user_protects_nothing(self, site: Path) -> None:
        level, found, advice = self.check(site, "root")
        assert (level, advice) == ("warn", "name a user that runs nothing else, and run this as root")
        assert found.startswith("root is who runs this")


@needs_root
def test_a_refusal_is_told_in_two_halves(open_folder: Path) -> None:
    site = open_folder / "site"
    site.mkdir(mode=0o700)
    found = check_network_user("nobody", site, [], 1.0)
    assert (found.level, found.advice) == ("fail", f"run: chmod o+x {site}")


@needs_root
def test_the_daemon_does_not_start_where_its_network_user_cannot_run_python(open_folder: Path) -> None:
    """As typed, from an environment in a folder that is closed to others, as /root is."""
    site = make_lab(open_folder / "lab").add("north").path
    for folder in (open_folder / "lab", site):
        folder.chmod(0o711)
    (site / "site.toml").write_text('supernode_user = "nobody"\n[data]\nadapter = "ucsf_bmsr"\nroot = "cases"\n')
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    venv.create(home / "venv", symlinks=True)
    packages = next((home / "venv").glob("lib/python*/site-packages"))
    (packages / "all.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    command = [str(home / "venv" / "bin" / "python"), "-P", "-m", "client.cli", "run", str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert (
        f"supernode_user = 'nobody' cannot run {command[0]}: {home} does not let it through; install"
        in done.stderr
    )
    assert "leave supernode_user out" in done.stderr
    assert [name for name in ("run", "supernode") if (site / name).exists()] == []  # nothing was begun
