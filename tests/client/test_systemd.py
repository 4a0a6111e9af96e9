"""The systemd units: taken by systemd itself, hardened, and in step with the daemon's own times."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from client import daemon
from server.superlink import executable

UNITS = Path(__file__).parents[2] / "docs" / "systemd"
NAMES = ("fedmets-site.service", "fedmets-server.service")


def unit(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)  # DeviceAllow stands there several times
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return parser["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_to_say(name: str, tmp_path: Path) -> None:
    text = (UNITS / name).read_text()
    installed = text.replace("/opt/fedmets/.venv/bin", str(Path(executable("fedmets-site")).parent))
    assert installed != text
    (tmp_path / name).write_text(installed)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if name in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_gives_away_nothing_it_need_not(name: str) -> None:
    service = unit(name)
    for key in (
        "NoNewPrivileges",
        "PrivateTmp",
        "RestrictSUIDSGID",
        "ProtectKernelModules",
        "ProtectControlGroups",
    ):
        assert service[key] == "yes", key
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"].startswith("/srv/")
    assert service["CapabilityBoundingSet"] == ""
    assert service["User"] != "root"
    assert service["KillMode"] == "mixed"  # the daemon ends its programs itself, in their order


def test_a_stop_leaves_the_daemon_the_time_it_takes() -> None:
    service = unit("fedmets-site.service")
    assert float(service["TimeoutStopSec"]) > daemon.STOPPING_S + 20.0
    assert "char-nvidia" in (UNITS / "fedmets-site.service").read_text()
    assert float(service["RestartSec"]) > 60.0
