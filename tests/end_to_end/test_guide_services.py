"""Both roles as services: the guides' commands for root, in the order of the guides, under a real systemd."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.provisioning import init_federation
from server.superlink import LOOPBACK
from tests.end_to_end.booted import INSTALLED, REPOSITORY, make_machine, needs_root_and_nspawn, type_at_boot
from tests.end_to_end.shown import blocks_of, shown
from tests.server.fleet import Fleet, add_site

STOP = "systemctl stop fedmets-site"
SERVICE_PAGES = ("operations.md", "site-guide.md")
UNITS = ("fedmets-server", "fedmets-site")
TYPE = """\
set -u
type_it() { eval "$1" || echo "exit code $?: $1"; }
until_there() { for _ in $(seq 900); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; exit 1; }
show() { systemctl show "$@" -p Id,ActiveState,UnitFileState,User,MainPID,Result,ExecMainStatus; echo; }
"""
AT_WORK = """\
for unit in fedmets-server fedmets-site; do
    stat -c "$unit is run by %U" /proc/$(systemctl show -P MainPID $unit)
done
"""


def found(root: Path) -> None:
    """A federation of one hospital, both folders where their people made them."""
    now = datetime.now(UTC).replace(microsecond=0)
    (root / "aggregator").mkdir()
    server = init_federation(root / "aggregator" / "bmfed", "BMFED", (LOOPBACK,), 8443, now)
    add_site(Fleet(root, server, LOOPBACK, 0), "site", now)
    data = '[data]\nadapter = "ucsf_bmsr"\nroot = "/srv/cases"\n'
    (root / "site" / "site.toml").write_text(f'device = "cpu"\n{data}')


def service_lines(page: str) -> tuple[str, ...]:
    """The block that makes a service, whole."""
    (lines,) = (lines for lines in blocks_of(page, "sh") if "systemctl daemon-reload" in lines)
    return lines


def typed() -> str:
    """A line that stands in both guides is typed once: here both roles share a machine."""
    server, site = (service_lines(page) for page in SERVICE_PAGES)
    script = [TYPE, "cd /root/aggregator", *(f"type_it {line!r}" for line in server)]
    script += ["until_there '[ -e /srv/bmfed/run/up.json ]'", "cd /root"]
    script += [f"type_it {line!r}" for line in site if line not in server or line.startswith("systemctl")]
    script += ["until_there 'grep -qs \"SuperNode ID:\" /srv/fedmets/logs/supernode.log'"]
    script += [AT_WORK, "show fedmets-server fedmets-site", f"type_it {shown('site-guide.md', STOP)!r}"]
    script += ["type_it 'systemctl stop fedmets-server'", "show fedmets-server fedmets-site"]
    script += ["type_it '! pgrep -u fedmets'", "journalctl --no-pager -o cat -u fedmets-server -u fedmets-site"]
    return "\n".join(script) + "\n"


def standing(said: str, unit: str) -> list[dict[str, str]]:
    """What `systemctl show` told of a unit, each time that it was asked."""
    parts = [dict(re.findall(r"^(\w+)=(.*)$", part, re.MULTILINE)) for part in said.split("\n\n")]
    return [part for part in parts if part.get("Id") == f"{unit}.service"]


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="needs systemctl")
@pytest.mark.parametrize("page", SERVICE_PAGES)
def test_a_unit_is_enabled_from_where_the_guide_has_it(page: str, tmp_path: Path) -> None:
    """Without a systemd that runs: the block's `cp` and `systemctl enable`, in the files of another machine."""
    (copy,), (enable,) = (
        [line for line in service_lines(page) if line.startswith(word)] for word in ("cp ", "systemctl enable ")
    )
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    copied = copy.replace(str(INSTALLED), str(REPOSITORY)).replace(" /etc/", f" {tmp_path}/etc/")
    enabled = enable.replace("enable --now", f"--root={tmp_path} enable")
    for command in (copied, enabled):
        subprocess.run(command.split(), check=True, capture_output=True, timeout=60)
    name = f"{enable.split()[-1]}.service"
    assert (units / "multi-user.target.wants" / name).is_symlink() and (units / name).is_file()


@pytest.mark.chaos
@needs_root_and_nspawn()
def test_both_roles_as_services_of_a_real_systemd(tmp_path: Path) -> None:
    root = tmp_path / "machine"
    make_machine(root)
    found(root / "root")
    said = type_at_boot(root, typed())
    assert "exit code" not in said and "never:" not in said, said
    for unit in UNITS:
        running, stopped = standing(said, unit)
        assert f"{unit} is run by fedmets" in said, said
        assert (running["ActiveState"], running["UnitFileState"]) == ("active", "enabled"), said
        ended = (stopped["ActiveState"], stopped["Result"], stopped["ExecMainStatus"])
        assert ended == ("inactive", "success", "0"), said
    assert f"ready: BMFED at {LOOPBACK}:8443" in said, said
