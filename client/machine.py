"""What this machine has: memory and disk, in bytes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory in bytes; `available` without swapping, as the kernel reckons it."""

    total: int
    available: int


def main_memory(meminfo: Path = Path("/proc/meminfo")) -> Memory | None:
    """Main memory; None where the system has no /proc/meminfo."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    values = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    try:
        return Memory(int(values["MemTotal"][0]) * _KIB, int(values["MemAvailable"][0]) * _KIB)
    except (KeyError, IndexError, ValueError):
        return None


def free_disk_bytes(folder: Path) -> int:
    """Free space where a folder is, or will be once it is made; raises OSError."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def size_text(count: float) -> str:
    """Bytes for people: 98208000 is "98 MB", 1896551724 is "1.9 GB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
