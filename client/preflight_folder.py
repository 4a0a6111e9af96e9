"""Preflight of what lies in the site's own folder: who could read a password, and whether the log holds."""

import stat
from pathlib import Path
from urllib.parse import urlsplit

from client.site_folder import SiteFolder
from common.audit import read_audit
from common.config import read_toml
from common.errors import AuditBroken, ConfigError
from common.expiry import Finding

_LOG = "audit log"


def check_password(site_file: Path) -> Finding | None:
    """Warn of a proxy's password that stands in a site.toml which others than its owner may read.

    A `${VARIABLE}` in its place is none. None when there is nothing to say.
    """
    try:
        proxy = read_toml(site_file).get("proxy")
        mode = stat.S_IMODE(site_file.stat().st_mode)
        password = urlsplit(proxy).password if isinstance(proxy, str) else None
    except (ConfigError, ValueError, OSError):
        return None  # whoever reads the whole file says what is wrong with it
    if not password or password.startswith("${") or not mode & 0o077:
        return None
    found = f"holds the proxy's password and may be read by others than its owner (mode {mode:o})"
    return Finding("warn", site_file.name, found, f"run: chmod 600 {site_file}")


def check_audit_log(folder: SiteFolder) -> Finding:
    """Walk the log's chain from its first line: fail where it does not hold, warn of a torn last line.

    Nothing is changed, and nobody is kept from writing.
    """
    path, lines = folder.audit_file, 0
    if not path.exists():
        if folder.in_use() is None:
            return Finding("ok", _LOG, "none yet")
        advice = "restore it from your copy; without one the daemon begins a new log at its start"
        return Finding("warn", _LOG, f"{path} is not there, though this site has joined", advice)
    try:
        path.open("rb").close()
        for _ in read_audit(path):
            lines += 1
    except OSError as error:
        return Finding("fail", _LOG, f"{path}: cannot be read ({error.strerror})", "mend its rights, or the disk")
    except AuditBroken as error:
        if _is_torn_after(path, lines):
            found = f"{path}: the last line is torn, as a crash in mid-write leaves it; the {lines} before it hold"
            advice = "nothing to do: the daemon cuts it off at its start and notes that"
            return Finding("warn", _LOG, found, advice)
        return Finding("fail", _LOG, str(error), folder.broken_log_advice)
    return Finding("ok", _LOG, f"{lines} lines, each vouches for the one before it")


def _is_torn_after(path: Path, lines: int) -> bool:
    """Whether nothing but an unfinished line follows so many lines."""
    data = path.read_bytes()
    return data.count(b"\n") == lines and not data.endswith(b"\n")
