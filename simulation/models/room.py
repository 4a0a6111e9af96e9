"""How much main memory a measurement may take, and holding it to that."""

import resource
from pathlib import Path

from client.machine import main_memory

_SHARE = 0.9  # the rest is for what other programs will ask for meanwhile
_CGROUPS = (  # a container's limit and use: version 2, version 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
_UNLIMITED_FROM = 2**60  # version 1 writes such a number where there is no limit


def room_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Nine tenths of what the machine, or the container around us, has free; None where neither says."""
    memory = main_memory()
    free = [memory.available] if memory is not None else []
    for limit_name, used_name in _CGROUPS:
        limit, used = _number(cgroup / limit_name), _number(cgroup / used_name)
        if limit is not None and used is not None and limit < _UNLIMITED_FROM:
            free.append(max(limit - used, 0))
    return int(_SHARE * min(free)) if free else None


def limit_memory(room: int) -> None:
    """Let this process take so many bytes more of private memory; beyond it, allocations fail as errors.

    Should others take the memory away meanwhile, the kernel is asked to end this process before any other.
    """
    held = _status_bytes("VmData")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + room
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return  # no /proc, or not ours to write: the limit alone must do


def resident_bytes() -> int:
    """Main memory that this process holds now; 0 where /proc does not say."""
    return _status_bytes("VmRSS")


def peak_resident_bytes() -> int:
    """The most that this process ever held; 0 where /proc does not say."""
    return _status_bytes("VmHWM")


def _status_bytes(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    values = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(values[0]) * 1024 if values else 0


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
