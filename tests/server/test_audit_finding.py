"""The federation's own audit log: looked at before anything is done, and by whoever looks at the federation."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from common.audit import read_audit
from common.errors import AuditBroken
from server.audit_finding import audit_finding
from server.plans import all_plans, sign_plan
from server.provisioning import ServerFolder
from server.releasing import release_model
from server.rounds import run_federation
from server.run_folder import RunFolder
from server.trust_status import trust_status
from tests.server.builders import make_plan, make_update, open_run
from tests.trust import DAY_0
from tests.wired import BUNDLE, Wired, wire


@pytest.fixture
def lab(tmp_path: Path) -> Wired:
    return wire(tmp_path / "lab")


def edited(server: ServerFolder) -> None:
    lines = server.audit_file.read_bytes().splitlines(keepends=True)
    server.audit_file.write_bytes(b"".join([lines[0].replace(b"BMFED", b"OTHER"), *lines[1:]]))


def cut(server: ServerFolder) -> None:
    server.audit_file.write_bytes(b"".join(server.audit_file.read_bytes().splitlines(keepends=True)[1:]))


def gone(server: ServerFolder) -> None:
    server.audit_file.unlink()


def test_a_log_that_holds_is_said_with_its_length(lab: Wired) -> None:
    finding = audit_finding(lab.lab.server)
    assert (finding.level, finding.finding) == ("ok", "the chain of 6 records holds")


@pytest.mark.parametrize("damage", [edited, cut, gone])
def test_status_says_that_it_does_not_hold_and_what_to_do(
    lab: Wired, damage: Callable[[ServerFolder], None]
) -> None:
    damage(lab.lab.server)
    found = trust_status(lab.lab.server, DAY_0)
    (line,) = [finding.line for finding in found.findings if finding.what == "audit log"]
    assert found.level == "fail" and "audit.jsonl" in line
    assert line.endswith("put your last copy in its place; where there is none, the next command begins a new log")


def test_a_line_that_a_crash_tore_is_no_damage_since_the_next_command_cuts_it(lab: Wired) -> None:
    server = lab.lab.server
    with server.audit_file.open("ab") as log:
        log.write(b'{"details":{},"event":"plan-si')
    assert (audit_finding(server).level, audit_finding(server).advice) == ("warn", "the next command cuts it off")
    sign_plan(server, make_plan(rounds=4), BUNDLE, server.identity(None), DAY_0)
    assert audit_finding(server).finding == "the chain of 8 records holds"
    edited(server)
    with server.audit_file.open("ab") as log:
        log.write(b"{")
    assert audit_finding(server).level == "fail"


def test_a_log_that_may_not_be_read_is_said_as_such(lab: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that root began under the unit's umask; root itself can read anything, so it is acted here."""

    def closed(path: Path, mode: str = "rb") -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", closed)
    monkeypatch.setattr(Path, "read_bytes", closed)
    finding = audit_finding(lab.lab.server)
    assert finding.level == "fail" and "Permission denied" in finding.finding


def test_no_plan_is_signed_and_no_model_released_where_that_cannot_be_logged(lab: Wired, tmp_path: Path) -> None:
    server, identity = lab.lab.server, lab.lab.server.identity(None)
    for trainer in lab.trainers.values():
        trainer.reply = lambda site, task: make_update(site, task, scale=1e-4)
    run = RunFolder(server, lab.kept.body.plan_id)
    run.make()
    run_federation(open_run(lab.plan, run.path), lab.link(), lambda record: None)
    edited(server)
    with pytest.raises(AuditBroken, match="line 1: its sha256 does not match"):
        sign_plan(server, make_plan(rounds=5), BUNDLE, identity, DAY_0)
    with pytest.raises(AuditBroken, match="line 1"):
        release_model(server, lab.kept, tmp_path / "model", identity, DAY_0)
    assert [kept.body.plan_id for kept in all_plans(server)] == [lab.kept.body.plan_id]
    assert not (tmp_path / "model").exists()


def test_a_model_is_in_the_log_before_it_is_signed(
    lab: Wired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.lab.server
    for trainer in lab.trainers.values():
        trainer.reply = lambda site, task: make_update(site, task, scale=1e-4)
    run = RunFolder(server, lab.kept.body.plan_id)
    run.make()
    run_federation(open_run(lab.plan, run.path), lab.link(), lambda record: None)
    last: list[str] = []

    def note(path: Path, data: bytes) -> None:
        last.append(list(read_audit(server.audit_file))[-1].event)

    monkeypatch.setattr("server.releasing.write_durably", note)
    release_model(server, lab.kept, tmp_path / "model", server.identity(None), DAY_0)
    assert last == ["model-released"]
