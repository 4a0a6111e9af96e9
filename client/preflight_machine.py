"""Preflight of the machine: room on its disks, the user that faces the network, versions of what is installed."""

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import islice
from pathlib import Path

from client.machine import size_text
from client.network_user import NetworkUser, network_user, readable_by
from client.supernode import can_run_as, copies_folder
from common.errors import UserError
from common.expiry import Finding
from common.packages import DISTRIBUTION

_STATE_BYTES = 2 * 10**9  # logs, tasks, updates and models of the plans
_USER = "network user"
_FILES_TRIED = 200
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


def check_network_user(name: str | None, site_dir: Path, images: Sequence[Path], limit_s: float) -> Finding:
    """Try whether the SuperNode can run as the user that site.toml names, and what that user could read.

    Fails when it cannot run; warns when it could read one of the first 200 files of the site or of a folder of
    images, since keeping it from them is what the setting is for.

    Args:
        name: of the user; None when site.toml names none.
        site_dir: the site's folder.
        images: where cases and prepared cases lie.
        limit_s: how long the SuperNode may take to start.
    """
    if name is None:
        words = "the worker's own; supernode_user in site.toml can name one that cannot read the data"
        return Finding("ok", _USER, words)
    try:
        user = network_user(name)
        seen = can_run_as(user, site_dir, os.environ, limit_s)
        found = _judge_reach(user, site_dir, images)
    except UserError as error:
        words, _, advice = str(error).partition("; ")
        return Finding("fail", _USER, words, advice)
    if found.level == "ok" and not seen:
        words = f"not known within {limit_s:.0f} s whether {name} can start the SuperNode"
        return Finding("warn", _USER, words, "a disk or the machine is busy: run this check again")
    return found


def _judge_reach(user: NetworkUser, site_dir: Path, images: Sequence[Path]) -> Finding:
    if user.is_us:
        advice = "name a user that runs nothing else, and run this as root"
        return Finding("warn", _USER, f"{user.name} is who runs this, so it can read what the worker can", advice)
    for folder in images:
        if seen := readable_by(user, _some_files(folder)):
            return Finding("warn", _USER, f"{user.name} can read {seen[0]}", f"run: chmod o-rwx {folder}")
    for part in sorted(site_dir.iterdir()):  # each for itself: a full cache must not hide the others
        if part == copies_folder(site_dir):
            continue
        if seen := readable_by(user, _some_files(part) if part.is_dir() else [part]):
            advice = f"run: chmod -R go-rwx {site_dir} && chmod o+x {site_dir}"
            return Finding("warn", _USER, f"{user.name} can read {seen[0]}", advice)
    words = f"{user.name} can start the SuperNode, and read no file of the site and no case, of those tried"
    return Finding("ok", _USER, words)


def _some_files(folder: Path) -> list[Path]:
    """The first files in a folder and below, hidden ones aside; all of a large archive would take too long."""

    def found() -> Iterator[Path]:
        for place, folders, names in os.walk(folder):
            folders.sort()
            yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))

    return list(islice(found(), _FILES_TRIED))


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
