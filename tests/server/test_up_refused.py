"""An aggregator that cannot run says so with exit code 2 at once, also for a key that others can read."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.cli import main
from server.provisioning import ServerFolder, init_federation
from server.superlink import free_port
from server.up_record import read_up
from tests.server.test_up import NOW


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerFolder:
    monkeypatch.delenv("FEDMETS_PASSPHRASE_FILE", raising=False)
    return init_federation(tmp_path / "fed", "BMFED", ("localhost",), free_port(), NOW)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *argv: object
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["fedmets-server", *map(str, argv)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("name", ["tls.key", "loopback.key", "identity.key"])
def test_a_key_that_others_can_read_is_not_handed_out(
    server: ServerFolder, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = server.server_keys().folder / name
    key.chmod(0o644)
    refusal = f"fedmets-server: error: {key}: mode 0644 lets others use this secret; run: chmod 600 {key}\n"
    for options in ((), ("--no-gateway",)):
        assert called(capsys, monkeypatch, "up", server.path, *options) == (2, "", refusal)
    code, out, err = called(capsys, monkeypatch, "nginx", server.path)
    if name == "tls.key":
        assert (code, out, err) == (2, "", refusal)
        assert not (server.path / "nginx").exists()
    else:
        assert (code, err) == (0, "")  # nginx is handed no other
    code, out, _ = called(capsys, monkeypatch, "status", server.path)
    assert code == 0 and f"warn  private key: {refusal.removeprefix('fedmets-server: error: ')}" in out
    key.chmod(0o600)
    assert "private key" not in called(capsys, monkeypatch, "status", server.path)[1]


def test_status_warns_of_the_authoritys_key_too_and_takes_its_absence(
    server: ServerFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.authority_key.chmod(0o640)
    assert f"run: chmod 600 {server.authority_key}" in called(capsys, monkeypatch, "status", server.path)[1]
    server.authority_key.rename(server.path.parent / "stick")
    assert "private key" not in called(capsys, monkeypatch, "status", server.path)[1]


def test_an_address_that_is_taken_or_not_ours_ends_up_at_once(
    server: ServerFolder, taken: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {
        ("--no-gateway", "--superlink-port", str(taken)): f"127.0.0.1:{taken}: Address already in use",
        ("--listen", "192.0.2.99"): f"192.0.2.99:{server.federation.port}: Cannot assign requested address",
    }
    for options, reason in refused.items():
        code, out, err = called(capsys, monkeypatch, "up", server.path, *options)
        assert (code, out) == (2, "")
        assert err.startswith(
            f"fedmets-server: error: cannot listen at {reason}; end what listens there or choose"
        )
    code, _, err = called(capsys, monkeypatch, "up", server.path, "--listen", "not an address")
    assert (code, "--listen 'not an address': not an address" in err) == (2, True)


def test_a_program_that_ends_with_2_ends_up_with_its_words(
    server: ServerFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = init_federation(server.path.parent / "other", "OTHER", ("localhost",), 8443, NOW)
    keys = server.server_keys()
    other.server_keys().tls_certificate.replace(keys.tls_certificate)
    code, out, err = called(capsys, monkeypatch, "up", server.path, "--listen", "127.0.0.1")
    assert code == 2
    assert err.startswith(f"fedmets-server: error: gateway: {keys.tls_key}: does not serve with")
    assert "gateway ended: code 2 after" in out and f"it said: {keys.tls_key}: does not serve with" in out
    assert out.count("gateway started") == 1 and "restarted" not in out and "ready" not in out
    assert read_up(server) is None
