"""A view of the file system for one command, in which other users exist and can run this installation.

An interpreter under root's own home can be run by nobody but root. In a mount namespace of the command's own the
closed folder above it is covered by an empty one that lets others through, with the wanted folders in it, nothing
else; and /etc is a copy, so that a user can be made. Nothing outside the command sees any of it.
"""

import shlex
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

INSTALLATION = (Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[3])


def own_view(scratch: Path, places: Iterable[Path] = INSTALLATION) -> tuple[str, ...]:
    """The beginning of a command that sees it; skips the test where mounting is not permitted.

    Args:
        scratch: made here; the copy of /etc will be in it.
        places: folders that others may read, if only they could get there.
    """
    scratch.mkdir(mode=0o700)
    closed = {place: folder for place in map(Path.resolve, places) if (folder := _closed_above(place))}
    mirrors = {place: scratch / str(number) for number, place in enumerate(closed)}
    for mirror in mirrors.values():
        mirror.mkdir()
    etc = scratch / "etc"
    subprocess.run(["cp", "-a", "/etc", etc], check=True)
    lines = [
        "set -e",
        _shell("mount", "--bind", etc, "/etc"),
        *(_shell("mount", "--bind", place, mirror) for place, mirror in mirrors.items()),
        *(
            _shell("mount", "-t", "tmpfs", "-o", "mode=711", "none", folder)
            for folder in sorted({*closed.values()})
        ),
        *(_shell("mkdir", "-p", place) for place in mirrors),
        *(_shell("mount", "--bind", mirror, place) for place, mirror in mirrors.items()),
        'exec "$@"',
    ]
    beginning = ("unshare", "--mount", "sh", "-c", "\n".join(lines), "sh")
    tried = subprocess.run([*beginning, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no right to mount: {tried.stderr.strip()}")
    return beginning


def user_and_group(scratch: Path, name: str) -> tuple[int, int]:
    """The numbers of a user who exists in the view alone."""
    entries = [line.split(":") for line in (scratch / "etc" / "passwd").read_text().splitlines()]
    ((uid, gid),) = ((int(entry[2]), int(entry[3])) for entry in entries if entry[0] == name)
    return uid, gid


def _closed_above(place: Path) -> Path | None:
    """The outermost folder on the way that lets no other user through."""
    return next((one for one in reversed(place.parents) if not one.stat().st_mode & stat.S_IXOTH), None)


def _shell(*words: object) -> str:
    return shlex.join(str(word) for word in words)
