"""Preflight of the machine: room on its disks, the user that faces the network, versions of what is installed."""

import platform
import pwd
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from client.machine import size_text
from common.expiry import Finding
from common.packages import DISTRIBUTION

_STATE_BYTES = 2 * 10**9  # logs, tasks, updates and models of the plans
_SHOWN = ("fedmets", "flwr", "torch", "monai", "nibabel", "numpy", "cryptography")


def check_cache_disk(cache: Path, free_bytes: int, needed_bytes: int, present_bytes: int) -> Finding:
    """Judge the room for prepared cases: fail when they do not fit, warn when little would be left.

    Args:
        cache: where they go.
        free_bytes: free there.
        needed_bytes: what they take in all, an upper bound.
        present_bytes: what lies there already.
    """
    missing = max(needed_bytes - present_bytes, 0)
    found = f"{size_text(free_bytes)} free at {cache}, prepared cases take {size_text(missing)} more at most"
    advice = "free some space, or give another folder as cache under [folders] in site.toml"
    if free_bytes < missing:
        return Finding("fail", "disk for prepared cases", found, advice)
    if free_bytes < 1.1 * missing + _STATE_BYTES:
        return Finding("warn", "disk for prepared cases", found, advice)
    return Finding("ok", "disk for prepared cases", found)


def check_state_disk(folder: Path, free_bytes: int) -> Finding:
    """Judge the room for a site's own state: fail below 0.2 GB, warn below 2 GB."""
    found = f"{size_text(free_bytes)} free at {folder}"
    advice = "free some space: logs, tasks and models are kept there, and a full disk ends a round"
    if free_bytes < _STATE_BYTES // 10:
        return Finding("fail", "disk for logs and state", found, advice)
    if free_bytes < _STATE_BYTES:
        return Finding("warn", "disk for logs and state", found, advice)
    return Finding("ok", "disk for logs and state", found)


def folder_bytes(folder: Path) -> int:
    """Size of the entries of a cache: files one level down."""
    return sum(file.stat().st_size for file in folder.glob("*/*.npy"))


def check_network_user(name: str | None) -> Finding:
    """Whether the user who runs the process that faces the network exists."""
    if name is None:
        found = "the worker's own; supernode_user in site.toml can name one that cannot read the data"
        return Finding("ok", "network user", found)
    try:
        pwd.getpwnam(name)
    except KeyError:
        return Finding(
            "fail", "network user", f"no user '{name}' on this machine", f"run: useradd --system {name}"
        )
    return Finding("ok", "network user", name)


def installed_versions() -> dict[str, str | None]:
    """Versions of what matters; None for what is not installed."""
    found: dict[str, str | None] = {}
    for name in _SHOWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def required_flwr() -> str:
    """The version of flwr that this fedmets was built for, such as "1.41.*"; empty when it does not say."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return ""
    found = (re.fullmatch(r"flwr\s*\(?==\s*([0-9.*]+)\)?", line) for line in lines)
    return next((match[1] for match in found if match), "")


def check_versions(installed: Mapping[str, str | None], flwr: str) -> Finding:
    """Judge versions; flwr must be the pinned one, since its internals are used.

    Args:
        installed: by distribution.
        flwr: the pin, "1.41.0" or "1.41.*"; empty accepts any.
    """
    listed = ", ".join(f"{name} {number or 'missing'}" for name, number in installed.items())
    found = f"python {platform.python_version()}, {listed}"
    present = installed.get("flwr") or ""
    fits = present.startswith(flwr.removesuffix("*")) if flwr.endswith("*") else present == flwr
    if flwr and not fits:
        return Finding("fail", "versions", found, f"run: pip install 'flwr=={flwr}'")
    missing = [name for name, number in installed.items() if number is None]
    if missing:
        return Finding("fail", "versions", found, f"run: pip install {' '.join(missing)}")
    return Finding("ok", "versions", found)
