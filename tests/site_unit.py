"""What the hospital's systemd unit leaves root with, where `supernode_user` has the daemon started as root."""

from pathlib import Path

UNIT = Path(__file__).parents[1] / "docs" / "systemd" / "fedmets-site.service"


def with_its_rights() -> tuple[str, ...]:
    """The beginning of a command that has the unit's capabilities for this case and no others."""
    (line,) = (line for line in UNIT.read_text().splitlines() if line.startswith("#CapabilityBoundingSet="))
    kept = [f"+{name.removeprefix('CAP_').lower()}" for name in line.partition("=")[2].split()]
    return ("setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={','.join(['-all', *kept])}")
