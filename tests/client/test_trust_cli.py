"""The hospital's commands as they are typed, with and without a person at the terminal."""

import json
from pathlib import Path

import pytest

from client.cli import app
from common.cli import run_app
from common.fingerprints import grouped
from tests.trust import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMETS_PASSPHRASE_FILE", raising=False)
    lab = make_lab(tmp_path)
    monkeypatch.setattr("client.trust_cli._now", lambda: lab.server.federation.created_at)
    return lab


@pytest.fixture
def waiting(lab: Lab) -> Lab:
    lab.request("north")
    lab.enroll("north")
    return lab


def site(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = run_app(app, "fedmets-site", argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_without_a_terminal_the_fingerprint_is_asked_for_as_an_option(
    waiting: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    code, out, err = site(capsys, "join", "north", "north.kit")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert grouped(waiting.fingerprint) in err
    assert "give --fingerprint SHA256" in err
    code, out, _ = site(
        capsys, "join", "north", "north.kit", "--fingerprint", grouped(waiting.fingerprint).upper()
    )
    assert code == 0
    assert out.startswith("north joined BMFED at fed.example.org:8443")


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 1)])
def test_at_a_terminal_a_person_compares(
    waiting: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)
    found, _, err = site(capsys, "join", "north", "north.kit")
    assert found == code
    assert f"    {grouped(waiting.fingerprint)}\n" in err
    assert (waiting.site("north").in_use() is not None) == answer


def test_another_fingerprint_is_1_and_says_what_to_do(waiting: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = site(capsys, "join", "north", "north.kit", "--fingerprint", "0" * 64)
    assert code == 1
    assert "do not join; tell the consortium" in err


def test_json_of_every_command_is_one_object(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    asked = json.loads(site(capsys, "request", "north", "--name", "north", "--json")[1])
    assert (asked["request"], asked["new_keys"]) == ("north/request.json", True)
    assert lab.enroll("north").fingerprint == asked["fingerprint"]
    join = ("join", "north", "north.kit", "--fingerprint", lab.fingerprint, "--json")
    joined = json.loads(site(capsys, *join)[1])
    assert (joined["federation"], joined["site"], joined["renewed"]) == ("BMFED", "north", False)
    renewed = json.loads(site(capsys, "renew", "north", "--json")[1])
    assert renewed["fingerprint"] != asked["fingerprint"]
    lab.enroll("north")
    code, _, err = site(capsys, "join", "north", "north.kit", "--fingerprint", "0" * 64)
    assert (code, "not the one given" in err) == (1, True)
    assert json.loads(site(capsys, "join", "north", "north.kit", "--json")[1])["renewed"]


def test_a_sealed_identity_renews_with_its_passphrase_alone(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    Path("secret").write_text("correct horse")
    Path("secret").chmod(0o600)
    assert site(capsys, "request", "north", "--name", "north", "--passphrase-file", "secret")[0] == 0
    lab.enroll("north")
    assert site(capsys, "join", "north", "north.kit", "--fingerprint", lab.fingerprint)[0] == 0
    code, _, err = site(capsys, "renew", "north")
    assert (code, "FEDMETS_PASSPHRASE_FILE=FILE" in err) == (2, True)
    assert site(capsys, "renew", "north", "--passphrase-file", "secret")[0] == 0


@pytest.mark.parametrize("command", ["request", "join", "renew", "follow"])
def test_help_teaches_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = site(capsys, command, "--help")
    assert code == 0
    assert f"fedmets-site {command} /srv/fedmets" in out
