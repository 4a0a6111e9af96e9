from importlib.metadata import version
from pathlib import Path

import pytest

from client.machine import free_disk_bytes, size_text
from client.preflight_machine import (
    check_cache_disk,
    check_network_user,
    check_state_disk,
    check_versions,
    folder_bytes,
    installed_versions,
    required_flwr,
)

GB = 10**9


@pytest.mark.parametrize(
    ("free", "needed", "present", "level"),
    [
        (100 * GB, 10 * GB, 0, "ok"),
        (13 * GB, 10 * GB, 0, "ok"),
        (12 * GB, 10 * GB, 0, "warn"),
        (9 * GB, 10 * GB, 0, "fail"),
        (9 * GB, 10 * GB, 8 * GB, "ok"),
        (3 * GB, 0, 8 * GB, "ok"),
    ],
)
def test_prepared_cases_must_fit(free: int, needed: int, present: int, level: str) -> None:
    finding = check_cache_disk(Path("/cache"), free, needed, present)
    assert finding.level == level
    assert f"{free / GB:.1f} GB free at /cache" in finding.finding
    assert ("[folders]" in finding.advice) == (level != "ok")


@pytest.mark.parametrize(("free", "level"), [(3 * GB, "ok"), (GB, "warn"), (GB // 10, "fail")])
def test_logs_need_some_room_too(free: int, level: str) -> None:
    assert check_state_disk(Path("/srv"), free).level == level


def test_sizes_of_folders(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "image.npy").write_bytes(b"x" * 700)
    assert folder_bytes(tmp_path) == 700
    assert folder_bytes(tmp_path / "not-yet") == 0
    assert free_disk_bytes(tmp_path / "not-yet" / "cache") > 0
    assert (size_text(98_208_000), size_text(1_896_551_724)) == ("98 MB", "1.9 GB")


def test_the_user_who_faces_the_network_must_exist() -> None:
    assert check_network_user(None, Path("/srv"), [], 1.0).level == "ok"
    missing = check_network_user("no-such-user", Path("/srv"), [], 1.0)
    assert (missing.level, missing.advice) == ("fail", "run: useradd --system no-such-user, or leave it out")


def test_flwr_must_be_the_pinned_one() -> None:
    installed = installed_versions()
    assert installed["flwr"] == version("flwr")
    assert check_versions(installed, required_flwr()).level == "ok"
    assert required_flwr().startswith("1.41.")
    for pin, level in (("1.41.*", "ok"), ("1.41.0", "ok"), ("1.4.*", "fail"), ("1.41.1", "fail"), ("", "ok")):
        assert check_versions({"flwr": "1.41.0"}, pin).level == level
    assert check_versions({"flwr": "1.42.0"}, "1.41.*").advice == "run: pip install 'flwr==1.41.*'"
    assert check_versions({"flwr": "1.41.0", "torch": None}, "1.41.*").advice == "run: pip install torch"
