"""How Flower's processes are started, read off their command lines and environments."""

import os
import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
from flwr.supercore.object_store.sql_object_store import SqlObjectStore

from common.allocation import for_carrying
from server.flower_cli import FlowerCli
from server.rotation import rotate_server
from server.superlink import (
    flower_environment,
    flower_folder,
    free_port,
    is_healthy,
    point_cli,
    prepare_database,
    superexec_program,
    superlink_program,
)
from server.up import gateway_program
from tests.trust import DAY_0, Lab, make_lab

BIN = Path(sys.executable).parent


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path)


def options(argv: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(argv[1::2], argv[2::2], strict=False))


def test_superlink_is_on_loopback_with_tls_and_knows_its_nodes(lab: Lab) -> None:
    program = superlink_program(lab.server, 18000, {})
    assert program.argv[:4] == (sys.executable, "-P", "-m", "server.superlink_main")
    assert program.argv[-2:] == ("--enable-supernode-auth", "--disable-runtime-dependency-installation")
    fed = lab.server.path
    assert options(program.argv[3:-2]) == {
        "--host": "127.0.0.1",
        "--port": "18000",
        "--ssl-ca-certfile": str(fed / "authority" / "authority.crt"),
        "--ssl-certfile": str(fed / "server" / "0001" / "loopback.crt"),
        "--ssl-keyfile": str(fed / "server" / "0001" / "loopback.key"),
        "--database": f"sqlite:///{fed}/flower/state.db",
        "--isolation": "process",
    }
    assert (fed / "flower").stat().st_mode & 0o777 == 0o700


def test_a_new_database_has_large_pages_and_one_that_is_there_is_left_alone(lab: Lab) -> None:
    path = lab.server.path / "flower" / "state.db"
    prepare_database(lab.server)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (65536,)
    path.write_bytes(b"SuperLink's")
    prepare_database(lab.server)
    assert path.read_bytes() == b"SuperLink's"


@pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")  # Flower's migrations
@pytest.mark.parametrize("name", ["a%20b", "a?b#c", "é & ü"])
def test_flower_opens_that_database_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    server = make_lab(tmp_path / name).server
    prepare_database(server)
    store = SqlObjectStore(options(superlink_program(server, 18000, {}).argv[3:-2])["--database"])
    assert "objects" in store.initialize()
    with closing(sqlite3.connect(server.path / "flower" / "state.db")) as connection:
        assert connection.execute("SELECT count(*) FROM objects").fetchone() == (0,)


def test_superexec_and_the_command_line_talk_to_that_superlink(lab: Lab) -> None:
    authority = str(lab.server.authority_certificate)
    argv = superexec_program(lab.server, 18000, {}).argv
    assert argv == (
        str(BIN / "flower-superexec"),
        "--runtime-api-address",
        "127.0.0.1:18000",
        "--root-certificates",
        authority,
    )
    cli = point_cli(lab.server, 18000, {})
    assert isinstance(cli, FlowerCli)
    config = tomllib.loads((lab.server.path / "flower" / "config.toml").read_text())
    connection = {"address": "127.0.0.1:18000", "root-certificates": authority}
    assert config == {"superlink": {"default": "fedmets", "fedmets": connection}}


def test_rotated_keys_are_taken_at_the_next_start(lab: Lab) -> None:
    rotate_server(lab.server, DAY_0)
    argv = superlink_program(lab.server, 18000, {}).argv
    assert options(argv[3:-2])["--ssl-keyfile"].endswith("server/0002/loopback.key")
    gateway_program_config(lab)


def gateway_program_config(lab: Lab) -> None:
    (lab.server.path / "run").mkdir()
    argv = gateway_program(lab.server, "127.0.0.1", 18000, {}).argv
    assert argv[:4] == (sys.executable, "-P", "-m", "server.gateway")
    text = Path(argv[4]).read_text()
    assert "server/0002/tls.key" in text and '"upstream_port":18000' in text


def test_the_environment_is_quiet_and_finds_this_installation(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inherited = {"PATH": "/usr/bin", "PYTHONPATH": "/somewhere", "NO_PROXY": "intra.net", "HTTPS_PROXY": "p:1"}
    found = flower_environment(lab.server, inherited, Path("secret"))
    assert found == {
        "PATH": os.pathsep.join((str(flower_folder(lab.server).path / "bin"), str(BIN), "/usr/bin")),
        "PYTHONPATH": "/somewhere",
        "HTTPS_PROXY": "p:1",
        "NO_PROXY": "intra.net,localhost,127.0.0.1,::1",
        "no_proxy": "localhost,127.0.0.1,::1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE": "8388608",
        "GLIBC_TUNABLES": for_carrying({})["GLIBC_TUNABLES"],
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "2",
        "FLWR_HOME": str(lab.server.path / "flower"),
        "FEDMETS_SERVER_DIR": str(lab.server.path),
        "FEDMETS_PASSPHRASE_FILE": str(tmp_path / "secret"),
    }
    relative = flower_environment(lab.server, {"FEDMETS_PASSPHRASE_FILE": "secret"})
    assert relative["FEDMETS_PASSPHRASE_FILE"] == str(tmp_path / "secret")
    assert "FEDMETS_PASSPHRASE_FILE" not in flower_environment(lab.server, {})


def test_a_port_without_a_server_is_not_healthy(lab: Lab) -> None:
    assert not is_healthy("127.0.0.1", free_port(), lab.server.authority_certificate)
