"""The user of its own that a SuperNode may run as: whether it can do that, and what else it could read.

The kernel is asked, in a process of that user. Modes alone do not tell: groups and access lists count too, and so
does whatever a Python opens on its way to its modules.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError

_SHELL_S = 10.0
_ALLOWED = 'flag=$1; shift; for path; do if test "$flag" "$path"; then printf "%s\\0" "$path"; fi; done'


@dataclass(frozen=True, slots=True)
class NetworkUser:
    """A user of this machine whom we can become, or are."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def is_us(self) -> bool:
        """Whether nothing is gained: it can read whatever we can."""
        return self.uid == os.geteuid()


def network_user(name: str) -> NetworkUser:
    """Look up the user that site.toml names.

    Raises:
        UserError: there is none of that name, or we have no right to become it.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UserError(
            f"supernode_user: no user '{name}' on this machine; run: useradd --system {name}, or leave it out"
        ) from None
    if os.geteuid() not in (0, entry.pw_uid):
        raise UserError(
            f"supernode_user = '{name}': only root can start a program as another user; "
            "run this as root, or leave supernode_user out"
        )
    return NetworkUser(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))


def require_reach(user: NetworkUser, site_dir: Path) -> None:
    """Return when the user can pass to a site's folder and through it; raises UserError, naming what is closed."""
    closed = _first_closed(user, site_dir / "within")
    if closed is not None:
        raise UserError(
            f"supernode_user = '{user.name}' cannot reach {site_dir}: {closed} does not let it through; "
            f"run: chmod o+x {closed}"
        )


def can_start(
    user: NetworkUser, argv: Sequence[str], module: Path, environment: Mapping[str, str], limit_s: float
) -> bool:
    """Try a command of this installation as this user: True when it ran to its end, False when it took too long.

    Args:
        user: whom to become.
        argv: starts with the interpreter, and ends by itself with code 0.
        module: a file of code that it imports.
        environment: all of the command's.
        limit_s: how long it may take.

    Raises:
        UserError: it does not run; says which folder is closed to the user, or else the command's last words.
    """
    failed = f"supernode_user = '{user.name}' cannot run {argv[0]}"
    closed = _first_closed(user, Path(argv[0]), module)
    if closed is not None:
        raise UserError(
            f"{failed}: {closed} does not let it through; install Python and fedmets where every user may go, "
            "such as /opt, or leave supernode_user out"
        )
    try:
        done = _run_as(user, argv, environment, limit_s)
        code, said = done.returncode, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return False
    except OSError as error:
        code, said = -1, error.strerror or type(error).__name__
    if code:
        words = [line.strip() for line in said.splitlines() if line.strip()] or [f"it ends with code {code}"]
        raise UserError(
            f"{failed}: {words[-1][:200]}; let every user read Python and its packages: "
            f"chmod -R o+rX {sys.prefix}, and the same for whatever else it names"
        )
    return True


def readable_by(user: NetworkUser, paths: Sequence[Path]) -> list[Path]:
    """Those of some files that the user could read now."""
    return _allowed(user, "-r", paths)


def _first_closed(user: NetworkUser, *files: Path) -> Path | None:
    """The first folder on the way to one of these files that the user cannot pass, outermost first.

    Both ways are walked, the one that is written and the one that links lead to.
    """
    for file in (way for one in files for way in (one, one.resolve())):
        folders = list(reversed(file.parents))
        passable = set(_allowed(user, "-x", folders))
        for folder in folders:
            if folder not in passable:
                return folder
    return None


def _allowed(user: NetworkUser, flag: str, paths: Sequence[Path]) -> list[Path]:
    """The paths of which the shell's `test` says yes to this user; raises UserError when a disk hangs."""
    argv = ("/bin/sh", "-c", _ALLOWED, "sh", flag, *map(str, paths))
    try:
        said = _run_as(user, argv, {}, _SHELL_S).stdout
    except subprocess.TimeoutExpired:
        raise UserError(
            f"supernode_user = '{user.name}': what it can reach is not known after {_SHELL_S:.0f} s; "
            f"a disk hangs, perhaps that of {paths[0]}"
        ) from None
    return [Path(os.fsdecode(one)) for one in said.split(b"\0") if one]


def _run_as(
    user: NetworkUser, argv: Sequence[str], environment: Mapping[str, str], limit_s: float
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command as the user; raises OSError when it cannot even be begun, and TimeoutExpired."""
    other = os.geteuid() == 0  # nobody else may change groups, not even to those that it is in
    return subprocess.run(
        argv,
        env=dict(environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=limit_s,
        check=False,
        user=user.uid if other else None,
        group=user.gid if other else None,
        extra_groups=user.groups if other else None,
    )
