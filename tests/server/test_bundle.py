"""The app bundle: no code, and the same bytes every time; test_up.py holds its hash against SuperLink's."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from flwr.common.config import get_fab_config

from common.errors import FedmetsError
from server.bundle import build_bundle, write_bundle


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    hashes = {write_bundle(tmp_path / name / "app") for name in ("one", "two")}
    builds = {build_bundle(tmp_path / name / "app") for name in ("one", "two")}
    assert (len(hashes), len(builds)) == (1, 1)
    assert hashes == {hashlib.sha256(build).hexdigest() for build in builds}
    assert write_bundle(tmp_path / "one" / "app") in hashes


def test_it_holds_no_code_and_names_the_installed_apps(tmp_path: Path) -> None:
    write_bundle(tmp_path / "app")
    build = build_bundle(tmp_path / "app")
    with zipfile.ZipFile(io.BytesIO(build)) as bundle:
        assert sorted(bundle.namelist()) == [".info/CONTENT", "LICENSE", "pyproject.toml"]
    app = get_fab_config(build)["tool"]["flwr"]["app"]
    assert app["components"] == {"serverapp": "server.app:app", "clientapp": "client.app:app"}
    assert app["config"] == {"mode": "train", "plan": "", "approval_deadline_s": 604800.0}
    assert len(build) < 2000


def test_a_stranger_among_the_sources_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "app")
    (tmp_path / "app" / "client.py").write_text("print('hello')")
    with pytest.raises(FedmetsError, match=r"app: holds client\.py, which is none of the bundle's files"):
        write_bundle(tmp_path / "app")


def test_a_changed_source_is_put_right(tmp_path: Path) -> None:
    before = write_bundle(tmp_path / "app")
    (tmp_path / "app" / "pyproject.toml").write_text("[project]\n")
    assert write_bundle(tmp_path / "app") == before
