"""Only the bundle of this fedmets is started at the aggregator, whoever submits another."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from common.errors import FedmetsError, UserError
from server.serverapp_main import COMMAND, only_ours, put_on_path
from server.superlink import flower_environment
from tests.trust import make_lab


def test_another_bundle_is_not_installed() -> None:
    installed: list[bytes] = []
    ours = b"thin"
    install = only_ours(lambda content, **options: installed.append(content), hashlib.sha256(ours).hexdigest())
    install(ours, skip_prompt=True)
    with pytest.raises(FedmetsError, match="fedmets' own, is started here"):
        install(b"a foreign app", skip_prompt=True)
    assert installed == [ours]


def test_the_name_that_it_takes_the_place_of_is_still_flowers() -> None:
    import importlib

    runner = importlib.import_module("flwr.superlink.runtime.run_serverapp")
    assert callable(runner.install_from_fab)


def test_superexec_finds_the_guard_before_flowers_own_command(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    place = put_on_path(lab.server)
    environment = flower_environment(lab.server, dict(os.environ))
    found = subprocess.run(["which", COMMAND], capture_output=True, env=environment, check=True, text=True)
    assert Path(found.stdout.strip()).parent == place.resolve()
    helped = subprocess.run([COMMAND, "--help"], capture_output=True, env=environment, timeout=60, check=True)
    assert b"Run a Flower ServerApp" in helped.stdout


def test_a_folder_that_cannot_stand_on_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fed:2026.*cannot stand on PATH"):
        put_on_path(make_lab(tmp_path / "fed:2026").server)


def test_nothing_else_that_superexec_could_start_is_started(tmp_path: Path) -> None:
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND

    place = put_on_path(make_lab(tmp_path).server)
    assert set(TASK_TYPE_TO_COMMAND.values()) <= {path.name for path in place.iterdir()}
    refused = subprocess.run([place / "flwr-agentapp"], capture_output=True, check=False)
    assert (refused.returncode, b"not for this aggregator" in refused.stderr) == (1, True)
