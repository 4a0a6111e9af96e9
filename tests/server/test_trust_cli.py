"""The consortium's commands as they are typed: what they print, and one line for each refusal."""

import json
from pathlib import Path

import pytest

from client.requesting import request_enrollment
from client.site_folder import SiteFolder
from common.cli import run_app
from server.cli import app
from tests.trust import DAY_0

COMMANDS = ("init", "enroll", "suspend", "reinstate", "remove", "rotate", "status")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMETS_PASSPHRASE_FILE", raising=False)
    request_enrollment(SiteFolder(tmp_path / "site"), "north", DAY_0)
    return tmp_path


def server(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = run_app(app, "fedmets-server", argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def init(capsys: pytest.CaptureFixture[str], *extra: str) -> tuple[int, str, str]:
    return server(capsys, "init", "fed", "--name", "BMFED", "--host", "fed.example.org", *extra)


def test_json_of_every_command_is_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = init(capsys, "--json")
    authority = json.loads(out)["authority"]
    assert (code, len(authority)) == (0, 64)
    answers = [
        server(capsys, *command, "--json")
        for command in (
            ("enroll", "fed", "site/request.json", "--out", "north.kit"),
            ("suspend", "fed", "north"),
            ("reinstate", "fed", "north"),
            ("rotate", "fed", "--out", "rotations.json", "--dial", "moved.example.org"),
            ("status", "fed"),
            ("remove", "fed", "north"),
        )
    ]
    assert [(code, err) for code, _, err in answers] == [(0, "")] * 6
    enrolled, suspended, reinstated, rotated, status, removed = (json.loads(out) for _, out, _ in answers)
    assert (enrolled["site"], enrolled["outcome"], enrolled["authority"]) == ("north", "enrolled", authority)
    assert [suspended["standing"], reinstated["standing"], removed["standing"]] == [
        "suspended",
        "active",
        "removed",
    ]
    assert (rotated["generation"], status["generation"], status["sites"]) == (2, 2, {"north": "active"})
    assert {finding["level"] for finding in status["findings"]} == {"ok"}


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (("init", "fed", "--name", "BMFED", "--host", "x"), 2, "fed: is there already and not empty"),
        (("enroll", "fed", "nowhere.json", "--out", "x.kit"), 2, "nowhere.json: cannot read a site's request"),
        (("enroll", "fed", "site/request.json", "--out", "x", "--fingerprint", "12"), 2, "64 hexadecimal digits"),
        (
            ("enroll", "fed", "site/request.json", "--out", "x", "--fingerprint", "0" * 64),
            1,
            "wrong-fingerprint: site/request.json has the fingerprint",
        ),
        (("enroll", "fed", "site/request.json", "--out", "no/x.kit"), 1, "no: cannot be written"),
        (("remove", "fed", "south"), 2, "no site 'south' is enrolled in fed; enrolled: none yet"),
        (("status", "site"), 2, "site: not the folder of a federation; make one with fedmets-server init site"),
    ],
)
def test_refusals_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], code: int, text: str
) -> None:
    init(capsys)
    found, out, err = server(capsys, *command)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert text in err


def test_a_passphrase_file_opens_what_it_sealed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "secret").write_text("correct horse\n")
    code, _, err = init(capsys, "--passphrase-file", "secret")
    assert (code, "chmod 600 secret" in err) == (2, True)
    (folder / "secret").chmod(0o600)
    assert init(capsys, "--passphrase-file", "secret")[0] == 0
    enroll = ("enroll", "fed", "site/request.json", "--out", "north.kit")
    code, _, err = server(capsys, *enroll)
    assert (code, "give --passphrase-file FILE" in err) == (2, True)
    assert server(capsys, *enroll, "--passphrase-file", "secret")[0] == 0
    assert server(capsys, "status", "fed")[0] == 0


def test_expired_certificates_make_status_1(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    init(capsys)
    monkeypatch.setattr("server.trust_cli._now", lambda: DAY_0.replace(year=2099))
    code, out, err = server(capsys, "status", "fed")
    assert code == 1
    assert "fail  server TLS certificate: expired on" in out
    assert "fed: does not hold: authority, aggregator identity, server TLS certificate" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = server(capsys, command, "--help")
    assert code == 0
    assert f"fedmets-server {command} /srv/bmfed" in out
